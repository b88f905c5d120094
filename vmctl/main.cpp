// SPDX-License-Identifier: Apache-2.0
// vmctl: the command line of the Mayfly hypervisor.
#include <exception>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "cli.hpp"

namespace
{

// Images lie beside the executable, or where `make install` puts them, whatever PREFIX
// was: PREFIX/bin/vmctl has PREFIX/lib/mayfly/guests.
std::vector<std::string> image_folders()
{
	std::string path(4096, '\0');
	const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
	std::vector<std::string> folders;

	if (length > 0) {
		path.resize(static_cast<std::size_t>(length));
		path.resize(path.rfind('/'));
		folders.push_back(path + "/guests");
		folders.push_back(path.substr(0, path.rfind('/')) + "/lib/mayfly/guests");
	}
	return folders;
}

} // namespace

int main(int argc, char **argv)
{
	using namespace vmctl;

	// Started with 0, 1 or 2 closed, /dev/mayfly would become standard output. What is
	// written to a closed one is lost, and not to look like success.
	for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) {
		if (fd > STDERR_FILENO) {
			::close(fd);
			break;
		}
	}

	posix_system calls;
	cli::stream out(stdout), err(stderr);
	cli::context world{.calls = calls, .out = out, .err = err};

	world.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
	world.err_is_terminal = ::isatty(STDERR_FILENO) != 0;
	world.in = STDIN_FILENO;
	world.image_folders = image_folders();
	try {
		return cli::dispatch(world, {argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
	} catch (const std::exception &wrong) {
		world.complain({0, wrong.what()});
		return cli::status::broken;
	}
}
