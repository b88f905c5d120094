// SPDX-License-Identifier: Apache-2.0
// Whole command lines over a pretended module, with what they print caught.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <span>
#include <string>

#include <gtest/gtest.h>

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

	command_line()
	{
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
		vmctl::cli::stream out_stream(out_file.file), err_stream(err_file.file);
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
			: file(path == nullptr ? ::open_memstream(&text, &size) : std::fopen(path, "w"))
		{
			if (path != nullptr)
				std::setvbuf(file, nullptr, buffering, BUFSIZ);
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
