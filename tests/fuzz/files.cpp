// SPDX-License-Identifier: Apache-2.0
//
// Saved images that somebody has changed: restoring one says no and makes nothing, or
// gives an image of which a VM can be started. Bytes of the file are changed, which its
// checksum or its structure tells; and what is in it, with right checksums.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include <vmctl/vmctl.hpp>

#include "../live/saved_records.hpp"
#include "options.hpp"
#include "random.hpp"

namespace
{

using namespace fuzz;

using bytes = live::saved_bytes;

template <class T> T must(vmctl::result<T> got, const char *what)
{
	if (!got)
		throw broken_rule(std::string(what) + ": " + got.error().what);
	if constexpr (!std::is_void_v<T>)
		return std::move(*got);
}

/// Some changes of the kind that programs get wrong.
void change(bytes &all, fuzz::random &r)
{
	for (std::uint64_t n = 1 + r.below(4); n > 0 && !all.empty(); n--) {
		// Most of what is judged comes first.
		const std::size_t end = r.chance(60) ? std::min<std::size_t>(all.size(), 1200) : all.size();
		const std::size_t at = r.below(end);
		const std::uint64_t word = r.word();
		const std::size_t left = std::min<std::size_t>(8, all.size() - at);

		switch (r.below(6)) {
		case 0:
			all[at] ^= std::byte(1 << r.below(8));
			break;
		case 1:
			std::memcpy(all.data() + at / 8 * 8, &word, std::min<std::size_t>(8, all.size() - at / 8 * 8));
			break;
		case 2:
			std::memcpy(all.data() + at, &word, std::min<std::size_t>(left, 4));
			break;
		case 3:
			all.resize(r.chance(50) ? at : all.size() - r.below(std::min<std::size_t>(64, all.size())));
			break;
		case 4:
			all.insert(all.begin() + static_cast<std::ptrdiff_t>(at), r.below(64), std::byte(r.below(256)));
			break;
		default:
			all.erase(all.begin() + static_cast<std::ptrdiff_t>(at),
				  all.begin() + static_cast<std::ptrdiff_t>(at + r.below(left + 1)));
		}
	}
}

/// One record is changed, or records are lost, doubled or swapped.
void change_records(std::vector<bytes> &all, fuzz::random &r)
{
	// What has the most to say comes first.
	const auto at = static_cast<std::ptrdiff_t>(r.chance(50) ? 0 : r.below(all.size()));
	const auto other = static_cast<std::ptrdiff_t>(r.below(all.size()));

	switch (r.below(8)) {
	case 0:
		all.erase(all.begin() + at);
		break;
	case 1:
		all.insert(all.begin() + other, bytes(all[static_cast<std::size_t>(at)]));
		break;
	case 2:
		std::iter_swap(all.begin() + at, all.begin() + other);
		break;
	default:
		change(all[static_cast<std::size_t>(at)], r);
	}
}

class fuzzer final
{
public:
	explicit fuzzer(const options &given) : given_(given), device_(must(vmctl::device::open(calls_), "the device"))
	{
		const auto elf = must(calls_.read_file("build/guests/daytime", 1 << 20), "the guest");
		const auto image = must(device_.load_image(elf, "daytime"), "the image");
		const auto vm = must(device_.spawn_attached(image, {.start = true}), "the VM");

		while (must(vm.info(), "the VM").state != vmctl::vm_state::parked)
			std::this_thread::yield();
		must(device_.save(vm,
				  [&](std::span<const std::byte> piece) -> vmctl::result<void> {
					  file_.insert(file_.end(), piece.begin(), piece.end());
					  return {};
				  }),
		     "saving");
		contents_ = live::contents_of(file_);
		// Now and then files are of a base that is there.
		base_.emplace(must(device_.load_image(elf, "daytime"), "the base"));
	}

	void run()
	{
		const auto began = std::chrono::steady_clock::now();
		progress where("fuzz-files", given_);

		for (next_ = given_.start; !given_.is_over(next_, began); next_++) {
			where.at(next_, next_);
			one(fuzz::random(given_.seed, 0, next_));
		}
		if (restores(file_) != 0)
			throw broken_rule("the file as it was saved is refused");
	}
	void report() const
	{
		std::string by;

		for (const auto &[code, n] : codes_)
			by += fmt::format("{}\"{}\": {}", by.empty() ? "" : ", ",
					  code == 0 ? "ok" : strerrorname_np(code), n);
		fmt::print("{{\"cases\": {}, \"answers\": {{{}}}}}\n", next_ - given_.start, by);
	}
	[[nodiscard]] std::string replay() const { return given_.replay("fuzz-files", next_); }

private:
	void one(fuzz::random r)
	{
		bytes file = file_;

		if (r.chance(70)) {
			std::vector<bytes> contents = contents_;

			change_records(contents, r);
			file = live::with_records(file_, contents);
		} else {
			change(file, r);
		}
		codes_[restores(file)]++;
	}

	/// 0 or the error. Afterwards there must be as much as before.
	int restores(const bytes &file)
	{
		static constexpr int clean[] = {EBADMSG, EOPNOTSUPP, EFBIG, ENOMEM, EDQUOT, EINVAL};
		std::span<const std::byte> rest = file;
		const auto from = [&](std::span<std::byte> room) -> vmctl::result<std::size_t> {
			const std::size_t n = std::min(room.size(), rest.size());

			std::copy_n(rest.begin(), n, room.begin());
			rest = rest.subspan(n);
			return n;
		};
		const auto before = must(device_.info(), "INFO");
		int code = 0;

		if (const auto made = device_.restore(from); made)
			try_it(made->from);
		else
			code = made.error().code;
		if (code != 0 && std::ranges::find(clean, code) == std::end(clean))
			throw broken_rule(fmt::format("restoring ends with {}", strerrorname_np(code)));

		wait_for(before);
		return code;
	}

	/// Whatever it does, it can be started and ended.
	void try_it(const vmctl::image &from)
	{
		const auto vm = device_.spawn_attached(from, {.start = true});

		if (!vm && vm.error().code != ENOMEM && vm.error().code != EDQUOT)
			throw broken_rule("a VM of it: " + vm.error().what);
	}

	/// Until there is as much as before: VMs end, and images are folded, when there is time.
	void wait_for(const vmctl::module_info &before) const
	{
		const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(given_.patience);

		for (;;) {
			const auto now = must(device_.info(), "INFO");

			if (now.vms == before.vms && now.images == before.images)
				return;
			if (std::chrono::steady_clock::now() > limit)
				throw broken_rule(fmt::format("{} VMs and {} images, {} and {} before", now.vms,
							      now.images, before.vms, before.images));
			std::this_thread::yield();
		}
	}

	const options &given_;
	vmctl::posix_system calls_;
	vmctl::device device_;
	std::optional<vmctl::image> base_;
	bytes file_;
	std::vector<bytes> contents_;
	std::map<int, std::uint64_t> codes_;
	std::uint64_t next_ = 0;
};

}

int main(int argc, char **argv)
{
	fuzz::options given;

	try {
		if (!fuzz::parse(argc, argv, fuzz::describe(given), given))
			return 0;
	} catch (const boost::program_options::error &error) {
		fmt::print(stderr, "fuzz-files: {}\n", error.what());
		return 2;
	}
	std::optional<fuzzer> all;

	try {
		all.emplace(given);
		all->run();
		all->report();
	} catch (const fuzz::broken_rule &rule) {
		fmt::print(stderr, "FAILED: {}\n{}\n", rule.what(), all ? all->replay() : "");
		return 1;
	}
	return 0;
}
