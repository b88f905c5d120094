// SPDX-License-Identifier: Apache-2.0
#include "new_file.hpp"

#include <cerrno>
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

// A new name beside it is not enough: the folder must know it after a crash, too.
result<void> sync_folder_of(const std::string &path)
{
	const std::string folder = std::filesystem::path(path).parent_path().string();
	const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return failed(path);

	const int ret = ::fsync(fd);

	::close(fd);
	// Some file systems cannot.
	return ret == 0 || errno == EINVAL ? result<void>() : failed(path);
}

} // namespace

new_file::new_file(std::string path, std::string temporary, int fd)
	: path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd)
{
}

new_file::new_file(new_file &&other) noexcept
	: path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})),
	  fd_(std::exchange(other.fd_, -1))
{
}

new_file::~new_file()
{
	if (!temporary_.empty())
		::unlink(temporary_.c_str());
	if (fd_ > STDERR_FILENO)
		::close(fd_);
}

result<new_file> new_file::begin(const std::string &path)
{
	if (path == "-")
		return new_file("standard output", "", STDOUT_FILENO);
	if (is_special(path)) {
		const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			return failed(path);
		return new_file(path, "", fd);
	}

	// Mode 0600: it may have what nobody else should see.
	std::string temporary = path + ".XXXXXX";
	const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);

	if (fd < 0)
		return failed(path);
	return new_file(path, std::move(temporary), fd);
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
	return sync_folder_of(path_);
}

} // namespace vmctl::cli
