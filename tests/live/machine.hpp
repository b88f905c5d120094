// SPDX-License-Identifier: Apache-2.0
//
// What all live tests stand on: the device, images of the tiny guests, VMs. Raw
// calls, so that a test sees exactly what the module answers.

#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <mayfly.h>
#include <mayfly_guest.h>
#include <vmctl/elf_image.hpp>

#include "descriptor.hpp"
#include "guests.hpp"

namespace live
{

using vmctl::elf_image;

inline mayfly_info info(const fd &device)
{
	mayfly_info result{};

	EXPECT_EQ(call_row(device, MAYFLY_INFO, result), 0);
	return result;
}

/// The argument that makes an image of a flat guest; the tests bend it.
struct image_request {
	std::array<std::uint64_t, 512> table = elf_image::entry_table();
	std::array<mayfly_segment, 2> segments{};
	mayfly_image_create create{};

	explicit image_request(std::span<const std::byte> code)
	{
		segments[0] = {.gpa = elf_image::table_gpa,
			       .length = sizeof(table),
			       .source = address(table.data()),
			       .flags = MAYFLY_SEGMENT_WRITE,
			       .reserved = 0};
		segments[1] = {.gpa = guests::gpa,
			       .length = code.size(),
			       .source = address(code.data()),
			       .flags = MAYFLY_SEGMENT_EXECUTE,
			       .reserved = 0};
		create.segments = address(segments.data());
		create.nr_segments = 2;
		create.rip = guests::entry;
		create.cr3 = elf_image::table_gpa;
		create.rdi = elf_image::kernel_base + MAYFLY_GPA_DEVICE;
		create.profile = MAYFLY_PROFILE_UNIKERNEL;
		create.cpu_level = MAYFLY_CPU_SSE2;
		std::strcpy(create.label, "guest");
	}
	image_request(const image_request &) = delete;
	image_request &operator=(const image_request &) = delete;
};

inline fd make_image(const fd &device, std::span<const std::byte> code)
{
	image_request request(code);
	const int ret = create_image(device, request.create);

	EXPECT_GE(ret, 0) << strerror(-ret);
	return fd(ret);
}

inline mayfly_image_info image_info(const fd &image)
{
	mayfly_image_info info{};

	EXPECT_EQ(call_row(image, MAYFLY_STAT, info), 0);
	return info;
}

inline mayfly_spawn spawn_request(const fd &image, std::uint32_t flags = 0, std::uint32_t count = 1)
{
	mayfly_spawn spawn{};

	spawn.image = image.get();
	spawn.flags = flags;
	spawn.count = count;
	spawn.memory = MAYFLY_MEMORY_DEFAULT;
	return spawn;
}

/// One VM with a descriptor. It ends with it, unless it is detached.
class machine final
{
public:
	machine(const fd &image, const fd &device, std::uint32_t flags = 0,
		std::uint64_t memory = MAYFLY_MEMORY_DEFAULT)
	{
		mayfly_spawn spawn = spawn_request(image, flags);

		spawn.memory = memory;
		const int ret = call(device, MAYFLY_SPAWN, &spawn);

		EXPECT_EQ(ret, 0) << strerror(-ret);
		handle_ = fd(spawn.fd);
	}
	/// Takes a descriptor that OPEN returned.
	explicit machine(fd handle) : handle_(std::move(handle)) {}

	[[nodiscard]] const fd &handle() const { return handle_; }
	void close() { handle_.reset(); }

	/// Runs it here. 0 or a negative errno; \p outcome as the module says.
	int run(std::uint32_t flags = 0, std::uint32_t *outcome = nullptr) const
	{
		mayfly_run run{};

		run.flags = flags;
		int ret;

		do
			ret = call(handle_, MAYFLY_RUN, &run);
		while (ret == 0 && run.outcome == MAYFLY_RAN_AGAIN);
		if (outcome)
			*outcome = run.outcome;
		return ret;
	}
	[[nodiscard]] mayfly_vm_info info() const
	{
		mayfly_vm_info result{};

		EXPECT_EQ(call_row(handle_, MAYFLY_STAT, result), 0);
		return result;
	}

	int control(std::uint32_t op, std::uint32_t port = 0) const
	{
		mayfly_control control{};

		control.op = op;
		control.port = port;
		return call(handle_, MAYFLY_CONTROL, &control);
	}
	[[nodiscard]] vcpu_state state() const
	{
		vcpu_state result{};

		EXPECT_EQ(get_state(handle_, result), 0);
		return result;
	}
	int set_state(const vcpu_state &state) const { return live::set_state(handle_, state); }

	/// Sets r8 to r10, which the tiny guests take as parameters.
	void set_parameters(std::uint64_t r8, std::uint64_t r9 = 0, std::uint64_t r10 = 0) const
	{
		vcpu_state now = state();

		now.regs[8] = r8;
		now.regs[9] = r9;
		now.regs[10] = r10;
		EXPECT_EQ(set_state(now), 0);
	}
	/// Waits for the end of a started VM, \p seconds at most.
	[[nodiscard]] bool wait_for_end(int seconds = 60) const
	{
		const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);

		while (std::chrono::steady_clock::now() < limit) {
			pollfd poll{.fd = handle_.get(), .events = 0, .revents = 0};

			if (::poll(&poll, 1, 1000) == 1 && poll.revents & POLLHUP)
				return true;
		}
		return false;
	}
	/// Console bytes, up to the end or to what there is now.
	[[nodiscard]] std::string output() const
	{
		std::string all;
		char bytes[4096];
		ssize_t n;

		fcntl(handle_.get(), F_SETFL, O_NONBLOCK);
		while ((n = read(handle_.get(), bytes, sizeof(bytes))) > 0)
			all.append(bytes, static_cast<std::size_t>(n));
		return all;
	}

private:
	fd handle_;
};

/// What a VM that stands still finds on its device page.
inline mayfly_device_page device_page(const machine &vm)
{
	mayfly_device_page page{};

	EXPECT_EQ(access_memory(vm.handle(), MAYFLY_GPA_DEVICE, std::as_writable_bytes(std::span(&page, 1)), 0), 0);
	return page;
}

/// Of the VM's clock.
inline double ns_per_tick(const machine &vm)
{
	const mayfly_clock clock = device_page(vm).clock;

	return std::ldexp(clock.mult, -static_cast<int>(clock.shift));
}

/// Makes an image of \p vm. Its descriptor, or a negative errno.
inline int take_snapshot(const machine &vm, const char *name = "", std::uint32_t flags = 0)
{
	mayfly_snapshot args{};

	std::memcpy(args.name, name, std::min(std::strlen(name), sizeof(args.name)));
	args.flags = flags;
	const int ret = call(vm.handle(), MAYFLY_SNAPSHOT, &args);

	return ret ? ret : args.fd;
}

/// The same; it must work.
inline fd snapshot(const machine &vm)
{
	const int ret = take_snapshot(vm);

	EXPECT_GE(ret, 0) << strerror(-ret);
	return fd(ret);
}

/// Asks the kernel's shrinkers for all they have, as a host short of memory does.
inline void shrink()
{
	std::ofstream file("/proc/sys/vm/drop_caches");

	file << "2" << std::flush;
	EXPECT_TRUE(file.good());
}

/// Is \p word in the line \p name of /proc/cpuinfo?
inline bool cpu_says(const std::string &name, const std::string &word)
{
	std::ifstream file("/proc/cpuinfo");

	for (std::string line; std::getline(file, line);)
		if (line.starts_with(name))
			return (line + " ").find(" " + word + " ") != std::string::npos;
	return false;
}

/// The threads that run started VMs.
inline std::vector<pid_t> workers()
{
	std::vector<pid_t> found;

	for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
		std::ifstream file(entry.path() / "comm");
		std::string name;

		if (std::getline(file, name) && name.starts_with("mayfly/"))
			found.push_back(std::stoi(entry.path().filename()));
	}
	return found;
}

/// \p count, or a twentieth of it on the debug kernel, which takes so much longer.
inline std::uint64_t many(std::uint64_t count)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) == 0 ? std::max<std::uint64_t>(count / 20, 1) : count;
}

/// Begins with an open device and ends with nothing left behind.
class Live : public ::testing::Test
{
protected:
	void SetUp() override
	{
		ASSERT_GE(device.get(), 0) << MAYFLY_DEVICE << ": " << strerror(errno);
		ASSERT_EQ(info(device).vms, 0u) << "VMs of somebody else";
	}
	void TearDown() override
	{
		// It has failed already, or did not begin as others' VMs are there, which stay.
		if (HasFatalFailure())
			return;
		EXPECT_TRUE(eventually([this] {
			const mayfly_info left = info(device);

			return left.pools == 0 && left.images == 0;
		}));

		const mayfly_info left = info(device);

		EXPECT_EQ(left.vms, 0u);
		EXPECT_EQ(left.images, 0u);
		EXPECT_EQ(left.pages, 0u);
		EXPECT_EQ(left.bytes, 0u);
		EXPECT_EQ(left.user_vms, 0u);
		EXPECT_EQ(left.user_bytes, 0u);
	}

	fd device = open_device();
};

}
