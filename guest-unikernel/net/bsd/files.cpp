// SPDX-License-Identifier: BSD-2-Clause
//
// Descriptors, and errno.

#include "files.hpp"

#include <new>
#include <stdlib.h>
#include <vector>

namespace
{

constexpr int first_descriptor = 3; // behind the console's
constexpr std::size_t most = 1024;  // as many as select() can look at
constexpr int stopped = 0;

int last_error;

// Made with the first file.
std::vector<std::unique_ptr<file>> *files;

std::unique_ptr<file> *slot_of(int fd)
{
	const auto index = static_cast<std::size_t>(fd - first_descriptor);

	return files != nullptr && fd >= first_descriptor && index < files->size() ? &(*files)[index] : nullptr;
}

}

extern "C" int *__errno_location() noexcept
{
	return &last_error;
}

bool file::is_readable() const
{
	return !reads || (socket != nullptr && socket->is_readable());
}

bool file::is_writable() const
{
	return what == kind::datagrams || (socket != nullptr && socket->is_writable());
}

file *find_file(int fd)
{
	const auto *slot = slot_of(fd);

	return slot != nullptr ? slot->get() : nullptr;
}

int add_file(std::unique_ptr<file> f)
{
	if (files == nullptr)
		files = new std::vector<std::unique_ptr<file>>;
	std::size_t index = 0;
	while (index != files->size() && (*files)[index] != nullptr)
		++index;
	if (index + first_descriptor == most)
		return -EMFILE;
	if (index == files->size())
		files->push_back(std::move(f));
	else
		(*files)[index] = std::move(f);
	return static_cast<int>(index) + first_descriptor;
}

int remove_file(int fd)
{
	auto *slot = slot_of(fd);

	if (slot == nullptr || *slot == nullptr)
		return -EBADF;
	slot->reset();
	return 0;
}

void wait_for_anything(std::uint64_t deadline)
{
	if (mayfly::net::poll(deadline).stop())
		exit(stopped);
	// Who calls looks at the descriptors that it waits for.
	while (mayfly::net::next_ready() != nullptr)
		;
}

int result_of(std::ptrdiff_t result)
{
	if (result >= 0)
		return static_cast<int>(result);
	errno = static_cast<int>(-result);
	return -1;
}
