// SPDX-License-Identifier: Apache-2.0
// VMs as JSON.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>
#include <vmctl/vmctl.hpp>

#include "stream.hpp"

namespace vmctl::cli
{

// A row of `ps --json`, as text. Addresses are strings: readers of JSON count in doubles.
std::string json_text(const vm_info &row);

// An element of `inspect`: the row with everything that is counted.
nlohmann::ordered_json to_json(const vm_stat &stat);

// A row of `image ls --json` and an element of `image inspect`.
nlohmann::ordered_json to_json(const image_info &row);

// Prints one array, an element a line, without holding it whole.
class json_array
{
public:
	explicit json_array(stream &out);
	json_array(const json_array &) = delete;
	json_array &operator=(const json_array &) = delete;
	~json_array();

	void add(const nlohmann::ordered_json &element);
	void add_text(std::string_view element);

private:
	stream &out_;
	bool empty_ = true;
};

} // namespace vmctl::cli
