// SPDX-License-Identifier: Apache-2.0
// The real system calls.
#include "vmctl/system.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmctl
{

namespace
{

template <class T> T negative_errno(T value)
{
	return value < 0 ? static_cast<T>(-errno) : value;
}

class closer final
{
public:
	explicit closer(int fd) : fd_(fd) {}
	~closer() { ::close(fd_); }
	closer(const closer &) = delete;
	closer &operator=(const closer &) = delete;

private:
	int fd_;
};

} // namespace

int posix_system::open(const std::string &path, int flags)
{
	return negative_errno(::open(path.c_str(), flags | O_CLOEXEC));
}

int posix_system::close(int fd)
{
	return negative_errno(::close(fd));
}

int posix_system::ioctl(int fd, unsigned long request, void *argument)
{
	return negative_errno(::ioctl(fd, request, argument));
}

ssize_t posix_system::read(int fd, std::span<std::byte> buffer)
{
	return negative_errno(::read(fd, buffer.data(), buffer.size()));
}

ssize_t posix_system::pread(int fd, std::span<std::byte> buffer, std::uint64_t offset)
{
	return negative_errno(::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)));
}

int posix_system::poll(std::span<pollfd> fds, int timeout_ms)
{
	return negative_errno(::poll(fds.data(), fds.size(), timeout_ms));
}

int posix_system::set_nonblocking(int fd)
{
	const int flags = ::fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	return negative_errno(::fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

std::uint32_t posix_system::interface_index(const std::string &name)
{
	return ::if_nametoindex(name.c_str());
}

bool posix_system::exists(const std::string &path)
{
	struct stat status;

	return ::lstat(path.c_str(), &status) == 0;
}

int posix_system::status(const std::string &path, struct ::stat &found)
{
	return negative_errno(::stat(path.c_str(), &found));
}

bool posix_system::is_file(const std::string &path)
{
	struct stat status;

	return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

result<std::vector<std::byte>> posix_system::read_file(const std::string &path, std::size_t limit)
{
	// O_NONBLOCK: opening a FIFO must not wait for a writer.
	const int fd = open(path, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fail(-fd, path + ": " + errno_text(-fd));

	const closer close_at_end(fd);
	struct stat status;

	if (::fstat(fd, &status) != 0)
		return fail(errno, path + ": " + errno_text(errno));
	if (S_ISDIR(status.st_mode))
		return fail(EISDIR, path + ": is a directory");
	if (!S_ISREG(status.st_mode))
		return fail(EINVAL, path + ": not a regular file");

	// st_size is only a hint: procfs says 0, and a file may grow under us. Files below /proc/sys give
	// no more than the first read takes.
	const auto hint = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));

	if (hint > limit)
		return fail(EFBIG, path + ": larger than " + std::to_string(limit >> 20) + " MiB");

	std::vector<std::byte> bytes(hint == 0 ? 4096 : hint + 1);
	std::size_t used = 0;

	for (;;) {
		if (used == bytes.size())
			bytes.resize(2 * used + 4096);

		const ssize_t got = read(fd, std::span(bytes).subspan(used));

		if (got == -EINTR)
			continue;
		if (got < 0)
			return fail(static_cast<int>(-got), path + ": " + errno_text(static_cast<int>(-got)));
		if (got == 0)
			break;
		used += static_cast<std::size_t>(got);
		if (used > limit)
			return fail(EFBIG, path + ": larger than " + std::to_string(limit >> 20) + " MiB");
	}
	bytes.resize(used);
	return bytes;
}

} // namespace vmctl
