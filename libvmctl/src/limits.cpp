// SPDX-License-Identifier: Apache-2.0
// The module judges again; we judge first, because it can only answer a number.
#include "vmctl/limits.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "uapi.hpp"

namespace vmctl
{

static_assert(std::string_view(device_path) == MAYFLY_DEVICE);
static_assert(default_memory == MAYFLY_MEMORY_DEFAULT);
static_assert(max_memory == MAYFLY_MEMORY_MAX);
static_assert(max_name_length == MAYFLY_NAME_SIZE - 1);
static_assert(max_argument_bytes == MAYFLY_ARGS_MAX);
static_assert(max_batch == MAYFLY_MAX_BATCH);
static_assert(max_segments == MAYFLY_MAX_SEGMENTS);
static_assert(event_ports == MAYFLY_EVENT_PORTS);

namespace
{

// Not std::isalpha(), which asks the locale.
bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool is_in_names(char c)
{
	return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
}

// As the module calls a VM that was given no name.
bool is_automatic(std::string_view name)
{
	return name.size() > 2 && name.starts_with("vm") && std::ranges::all_of(name.substr(2), is_digit);
}

} // namespace

std::string numbered_name(std::string_view prefix, std::uint32_t number)
{
	return fmt::format("{}-{}", prefix, number);
}

result<void> check_name(std::string_view name, std::optional<std::uint32_t> last)
{
	const std::size_t suffix = last ? numbered_name("", *last).size() : 0;

	if (name.empty() || !is_letter(name.front()) || !std::ranges::all_of(name, is_in_names))
		return fail(EINVAL, "a name is a letter, then letters, digits, '.', '_' or '-'");
	if (is_automatic(name))
		return fail(EINVAL, "a VM without a name gets one like this, with its id; choose another");
	if (name.size() + suffix > max_name_length)
		return fail(EINVAL, fmt::format("the name is longer than {} characters", max_name_length - suffix));
	return {};
}

result<void> check_memory(std::uint64_t bytes, std::uint64_t most)
{
	if (bytes == 0)
		return fail(EINVAL, "a VM needs memory");
	if (bytes % page_size != 0)
		return fail(EINVAL, "not a multiple of 4 KiB");
	if (bytes > most)
		return fail(EINVAL,
			    fmt::format("more than a VM may have, {:.1f} GiB", static_cast<double>(most) / (1 << 30)));
	return {};
}

result<void> check_arguments(std::span<const std::string> arguments)
{
	std::size_t bytes = 0;

	for (const std::string &argument : arguments) {
		// An inner NUL would become two arguments.
		if (argument.find('\0') != std::string::npos)
			return fail(EINVAL, "an argument holds a NUL byte");
		bytes += argument.size() + 1;
	}
	if (bytes > max_argument_bytes)
		return fail(E2BIG, fmt::format("the guest's arguments take {} bytes; {} are allowed", bytes,
					       max_argument_bytes));
	return {};
}

std::string parameter_path(std::string_view parameter)
{
	return fmt::format("/sys/module/mayfly/parameters/{}", parameter);
}

} // namespace vmctl
