// SPDX-License-Identifier: Apache-2.0
//
// The module's parameters, which a test may change for a while.

#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace live
{

/// A parameter of the module with another value, until the end.
class parameter final
{
public:
	parameter(const std::string &name, std::uint64_t value) : path_("/sys/module/mayfly/parameters/" + name)
	{
		std::ifstream(path_) >> before_;
		set(value);
	}
	~parameter() { set(before_); }
	parameter(const parameter &) = delete;
	parameter &operator=(const parameter &) = delete;

	void set(std::uint64_t value) const
	{
		std::ofstream file(path_);

		file << value << std::flush;
		EXPECT_TRUE(file.good()) << path_;
	}

private:
	std::string path_;
	std::uint64_t before_ = 0;
};

}
