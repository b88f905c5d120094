// SPDX-License-Identifier: Apache-2.0
/// \file
/// The seam between the library and the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "error.hpp"

namespace vmctl
{

/// Every system call the library makes. Tests put a fake in its place; programs
/// use posix_system. Calls that return a number return a negative errno when
/// they fail. The object must outlive everything that was made with it.
class system
{
public:
	virtual ~system() = default;

	/// Opens \p path with open(2) \p flags (O_CLOEXEC is added). A descriptor.
	virtual int open(const std::string &path, int flags) = 0;

	/// Closes \p fd.
	virtual int close(int fd) = 0;

	/// ioctl(2). What the kernel returned.
	virtual int ioctl(int fd, unsigned long request, void *argument) = 0;

	/// read(2) into \p buffer. Bytes read, 0 at the end.
	virtual ssize_t read(int fd, std::span<std::byte> buffer) = 0;

	/// pread(2) at \p offset bytes. Bytes read.
	virtual ssize_t pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) = 0;

	/// poll(2); \p timeout_ms is in milliseconds, -1 waits for ever.
	virtual int poll(std::span<pollfd> fds, int timeout_ms) = 0;

	/// Makes read() of \p fd return -EAGAIN instead of waiting.
	virtual int set_nonblocking(int fd) = 0;

	/// The index of network device \p name of this network namespace; 0 without one.
	virtual std::uint32_t interface_index(const std::string &name) = 0;

	/// True when \p path exists; following it need not be allowed.
	virtual bool exists(const std::string &path) = 0;

	/// stat(2) of \p path into \p found. 0.
	virtual int status(const std::string &path, struct ::stat &found) = 0;

	/// True when \p path, or what it links to, is a regular file.
	virtual bool is_file(const std::string &path) = 0;

	/// The whole of the regular file \p path. Errors: those of open(2) and
	/// read(2), EISDIR for a directory, EINVAL for anything else that is not a
	/// regular file, EFBIG beyond \p limit bytes.
	virtual result<std::vector<std::byte>> read_file(const std::string &path, std::size_t limit) = 0;

protected:
	system() = default;
	system(const system &) = default;
	system &operator=(const system &) = default;
};

/// The real thing. Holds nothing.
class posix_system final : public system
{
public:
	int open(const std::string &path, int flags) override;
	int close(int fd) override;
	int ioctl(int fd, unsigned long request, void *argument) override;
	ssize_t read(int fd, std::span<std::byte> buffer) override;
	ssize_t pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) override;
	int poll(std::span<pollfd> fds, int timeout_ms) override;
	int set_nonblocking(int fd) override;
	std::uint32_t interface_index(const std::string &name) override;
	bool exists(const std::string &path) override;
	int status(const std::string &path, struct ::stat &found) override;
	bool is_file(const std::string &path) override;
	result<std::vector<std::byte>> read_file(const std::string &path, std::size_t limit) override;
};

} // namespace vmctl
