// SPDX-License-Identifier: Apache-2.0
#include "new_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmctl::cli
{

namespace
{

std::unexpected<error> failed(const std::string &path)
{
	return fail(errno, path + ": " + errno_text(errno));
}

bool is_special(const std::string &path)
{
	struct stat there = {};

	return ::stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode);
}

// Where a name leads: the file that is replaced is the one behind a link.
std::string real_name(const std::string &path)
{
	std::error_code wrong;
	const auto real = std::filesystem::canonical(path, wrong);

	return wrong ? path : real.string();
}

int open_folder_of(const std::string &path)
{
	const std::string folder = std::filesystem::path(path).parent_path().string();

	return ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// The file that is not complete, for the handler.
std::array<char, PATH_MAX> unfinished{};

void remove_unfinished(int number)
{
	::unlink(unfinished.data());
	end_by(number);
}

} // namespace

new_file::new_file(std::string path, std::string temporary, int fd, int folder)
	: path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd), folder_(folder)
{
}

new_file::new_file(new_file &&other) noexcept
	: path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})),
	  fd_(std::exchange(other.fd_, -1)), folder_(std::exchange(other.folder_, -1)),
	  removal_(std::move(other.removal_))
{
}

new_file::~new_file()
{
	if (!temporary_.empty())
		::unlink(temporary_.c_str());
	if (fd_ > STDERR_FILENO)
		::close(fd_);
	if (folder_ >= 0)
		::close(folder_);
}

result<new_file> new_file::begin(const std::string &wanted)
{
	if (wanted == "-")
		return new_file("standard output", "", STDOUT_FILENO, -1);
	if (is_special(wanted)) {
		const int fd = ::open(wanted.c_str(), O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return failed(wanted);
		return new_file(wanted, "", fd, -1);
	}

	const std::string path = real_name(wanted);
	new_file made(path, "", -1, open_folder_of(path));

	if (made.folder_ < 0)
		return failed(wanted);

	// Mode 0600: it may have what nobody else should see.
	std::string temporary = path + ".XXXXXX";

	made.fd_ = ::mkostemp(temporary.data(), O_CLOEXEC);
	if (made.fd_ < 0)
		return failed(wanted);
	made.temporary_ = temporary;
	if (temporary.size() < unfinished.size()) {
		*std::ranges::copy(temporary, unfinished.begin()).out = '\0';
		made.removal_ = std::make_unique<handled_signals>(ending_signals, remove_unfinished);
	}
	return made;
}

bool new_file::can_be_synced() const
{
	struct stat there = {};

	return ::fstat(fd_, &there) == 0 && S_ISREG(there.st_mode);
}

result<void> new_file::write(std::span<const std::byte> bytes) const
{
	while (!bytes.empty()) {
		const ssize_t written = ::write(fd_, bytes.data(), bytes.size());

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return failed(path_);
		bytes = bytes.subspan(static_cast<std::size_t>(written));
	}
	return {};
}

result<void> new_file::sync() const
{
	// Pipes and the like cannot.
	return ::fsync(fd_) == 0 || errno == EINVAL || errno == EROFS ? result<void>() : failed(path_);
}

result<void> new_file::finish()
{
	VMCTL_TRY(sync());
	if (temporary_.empty())
		return {};
	if (::rename(temporary_.c_str(), path_.c_str()) != 0)
		return failed(path_);
	temporary_.clear();
	removal_.reset();
	// A new name is not enough: the folder must know it after a crash, too. Some file
	// systems cannot.
	return ::fsync(folder_) == 0 || errno == EINVAL ? result<void>() : failed(path_);
}

} // namespace vmctl::cli
