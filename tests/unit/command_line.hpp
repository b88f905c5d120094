// SPDX-License-Identifier: Apache-2.0
// Whole command lines over a pretended module, with what they print caught.
#pragma once

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <span>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "cli.hpp"
#include "elf_builder.hpp"
#include "fake_module.hpp"

class command_line : public testing::Test
{
protected:
	fake_module fake;
	std::string out, err;
	bool terminal = false;
	int in = -1;
	const char *out_to = nullptr, *err_to = nullptr; // a file instead, as /dev/full
	static constexpr const char *closed_pipe = "a closed pipe";
	static inline volatile std::sig_atomic_t broken_pipes; // how many SIGPIPEs would have ended us

	command_line()
	{
		broken_pipes = 0;
		std::signal(SIGPIPE, [](int) { broken_pipes = broken_pipes + 1; });
		// Whoever started us may ignore them, as nohup does: then vmctl would, too.
		for (const int number : {SIGHUP, SIGINT, SIGQUIT})
			std::signal(number, SIG_DFL);
		fake.files["/guests/hello"] = elf_builder::guest().text();
		fake.files["big.elf"] = fake.files["/guests/hello"] + std::string(10, 'x');
	}

	int run(std::initializer_list<const char *> words) { return run(std::span(words.begin(), words.size())); }

	int run(std::span<const char *const> words)
	{
		caught out_file(out_to, _IOFBF), err_file(err_to, _IONBF);
		vmctl::cli::stream out_stream(out_file.file),
			err_stream(err_file.file, vmctl::cli::stream::unread::is_dropped);
		vmctl::cli::context world{.calls = fake, .out = out_stream, .err = err_stream};

		world.out_is_terminal = terminal;
		world.err_is_terminal = terminal;
		world.in = in;
		world.image_folders = {"/guests"};

		const int status = vmctl::cli::dispatch(world, words);

		out = out_file.close();
		err = err_file.close();
		return status;
	}

	// A file, or what stands for one and tells what was written.
	struct caught {
		char *text = nullptr;
		std::size_t size = 0;
		std::FILE *file;

		caught(const char *path, int buffering)
			: file(path == nullptr                         ? ::open_memstream(&text, &size)
			       : std::string_view(path) == closed_pipe ? open_closed_pipe()
								       : std::fopen(path, "w"))
		{
			if (path != nullptr)
				std::setvbuf(file, nullptr, buffering, BUFSIZ);
		}

		static std::FILE *open_closed_pipe()
		{
			std::array<int, 2> ends{};

			EXPECT_EQ(::pipe(ends.data()), 0);
			::close(ends[0]);
			return ::fdopen(ends[1], "w");
		}

		std::string close()
		{
			std::fclose(file);

			const std::string written(text == nullptr ? "" : text, size);

			std::free(text);
			return written;
		}
	};

	int system_calls()
	{
		int sum = 0;

		for (const auto &[request, count] : fake.calls)
			sum += count;
		return sum;
	}
};
