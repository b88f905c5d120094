// SPDX-License-Identifier: Apache-2.0
// Whole command lines over a pretended module, with what they print caught.
#pragma once

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

	command_line()
	{
		fake.files["/guests/hello"] = elf_builder::guest().text();
		fake.files["big.elf"] = fake.files["/guests/hello"] + std::string(10, 'x');
	}

	int run(std::initializer_list<const char *> words) { return run(std::span(words.begin(), words.size())); }

	int run(std::span<const char *const> words)
	{
		char *out_text = nullptr, *err_text = nullptr;
		std::size_t out_size = 0, err_size = 0;
		vmctl::cli::context world{.calls = fake,
					  .out = ::open_memstream(&out_text, &out_size),
					  .err = ::open_memstream(&err_text, &err_size)};

		world.out_is_terminal = terminal;
		world.err_is_terminal = terminal;
		world.image_folders = {"/guests"};

		const int status = vmctl::cli::dispatch(world, words);

		std::fclose(world.out);
		std::fclose(world.err);
		out.assign(out_text, out_size);
		err.assign(err_text, err_size);
		std::free(out_text);
		std::free(err_text);
		return status;
	}

	int system_calls()
	{
		int sum = 0;

		for (const auto &[request, count] : fake.calls)
			sum += count;
		return sum;
	}
};
