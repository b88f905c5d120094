// SPDX-License-Identifier: Apache-2.0
// images: what VMs can be made from.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "find.hpp"
#include "text.hpp"

namespace vmctl::cli
{

int verb_images(const context &world, const invocation &in)
{
	auto list = nlohmann::ordered_json::array();
	table shown({"IMAGE", "SIZE"}, {false, true});

	for (const std::string &name : bundled_names(world)) {
		const auto file = find_image(world, name);
		const std::size_t size = file ? file->bytes.size() : 0;

		if (in.has("quiet"))
			fmt::print(world.out, "{}\n", printable(name));
		list.push_back({{"name", printable(name)}, {"bytes", size}});
		shown.add({printable(name), size_text(size)});
	}
	if (in.has("json"))
		fmt::print(world.out, "{}\n", list.dump());
	else if (!in.has("quiet"))
		shown.print(world.out);
	return status::ok;
}

} // namespace vmctl::cli
