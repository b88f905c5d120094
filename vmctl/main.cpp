// SPDX-License-Identifier: Apache-2.0
// vmctl: the command line of the Mayfly hypervisor.
#include <cstdio>
#include <exception>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cli.hpp"

namespace
{

// Images lie beside the executable, or where `make install` puts them, whatever PREFIX
// was: PREFIX/bin/vmctl has PREFIX/lib/mayfly/guests.
std::vector<std::string> image_folders()
{
	// Not /proc/self/exe: there may be no /proc.
	const auto *started = reinterpret_cast<const char *>(::getauxval(AT_EXECFN));
	std::error_code wrong;
	const auto file = std::filesystem::canonical(started == nullptr ? "" : started, wrong);

	if (wrong)
		return {};

	const auto folder = file.parent_path();

	return {folder / "guests", folder.parent_path() / "lib/mayfly/guests"};
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
	cli::stream out(stdout), err(stderr, cli::stream::unread::is_dropped);
	cli::context world{.calls = calls, .out = out, .err = err};

	world.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
	world.err_is_terminal = ::isatty(STDERR_FILENO) != 0;
	world.in = STDIN_FILENO;
	// What fits into a pipe: `ps --json` of a million VMs writes 300 MB.
	if (!world.out_is_terminal)
		std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
	world.image_folders = image_folders();
	try {
		return cli::dispatch(world, {argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
	} catch (const std::exception &wrong) {
		world.complain({0, wrong.what()});
		return cli::status::broken;
	}
}
