// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals.hpp"

namespace vmctl::cli
{

namespace
{

// A file without a name, that holds `text` and is read from its beginning.
result<descriptor> make_file(system &calls, std::string_view text)
{
	descriptor file(calls, ::memfd_create("vmctl", MFD_CLOEXEC));

	if (file.fd() < 0)
		return fail(errno, "making a file: " + errno_text(errno));
	if (::pwrite(file.fd(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
		return fail(EIO, "writing a file: " + errno_text(errno));
	return file;
}

std::string read_all(int file)
{
	const off_t size = ::lseek(file, 0, SEEK_END);
	std::string text(static_cast<std::size_t>(size > 0 ? size : 0), '\0');
	const ssize_t got = ::pread(file, text.data(), text.size(), 0);

	text.resize(static_cast<std::size_t>(got > 0 ? got : 0));
	return text;
}

} // namespace

result<pid_t> start_program(std::vector<std::string> command, int in, int out, int err)
{
	std::vector<char *> words;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	pid_t child = -1;

	for (std::string &word : command)
		words.push_back(word.data());
	words.push_back(nullptr);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

	const handled_signals ignored(std::array{SIGINT, SIGQUIT}, SIG_IGN);
	const int code = ::posix_spawnp(&child, words.front(), &files, &attributes, words.data(), environ);

	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	if (code != 0)
		return fail(code, command.front() + ": " + errno_text(code));
	return child;
}

result<program_end> run_program(system &calls, std::vector<std::string> command, std::string_view input)
{
	const descriptor in = VMCTL_TRY(make_file(calls, input));
	const descriptor out = VMCTL_TRY(make_file(calls, "")), err = VMCTL_TRY(make_file(calls, ""));
	const pid_t child = VMCTL_TRY(start_program(std::move(command), in.fd(), out.fd(), err.fd()));
	program_end ended;

	while (::waitpid(child, &ended.status, 0) < 0)
		if (errno != EINTR)
			return fail(errno, "waiting for a program: " + errno_text(errno));
	ended.out = read_all(out.fd());
	ended.err = read_all(err.fd());
	return ended;
}

} // namespace vmctl::cli
