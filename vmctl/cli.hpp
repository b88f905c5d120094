// SPDX-License-Identifier: Apache-2.0
// What every verb of vmctl shares: the table's row, the parsed command line and
// the place where output goes.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/program_options/variables_map.hpp>
#include <vmctl/vmctl.hpp>

#include "stream.hpp"

namespace vmctl::cli
{

// Exit statuses; run and wait also give the guest's own.
enum status : int {
	ok = 0,
	some_failed = 1,
	usage = 2,
	broken = 125, // vmctl's, the module's, or any end but an exit and a kill
	not_startable = 126,
	no_image = 127,
	interrupted = 130,
	was_killed = 137,
};

// Why a verb gives up, and with which status.
struct failure {
	int status;
	error cause;
};

template <class T> using outcome = std::expected<T, failure>;

[[nodiscard]] inline std::unexpected<failure> give_up(int status, error cause)
{
	return std::unexpected(failure{status, std::move(cause)});
}

[[nodiscard]] inline std::unexpected<failure> bad_usage(std::string what)
{
	return give_up(status::usage, {EINVAL, std::move(what)});
}

// The same with what it is about in front.
[[nodiscard]] inline error about(const std::string &word, const error &cause)
{
	return {cause.code, word + ": " + cause.what, cause.fix};
}

// The world as a verb sees it.
struct context {
	system &calls;
	stream &out;
	stream &err;
	bool out_is_terminal = false;
	bool err_is_terminal = false;
	int in = -1; // descriptor of standard input
	std::vector<std::string> image_folders{};
	std::string_view verb{};

	// `vmctl: VERB: WHAT`, and the fix where there is one, to err. Whatever bytes are in
	// them, the terminal is safe.
	void complain(const error &cause) const;
	// Complains; the status to end with.
	int end(const failure &why) const;
};

// One command line, after its verb.
class invocation
{
public:
	invocation() = default;
	invocation(boost::program_options::variables_map options, std::vector<std::string> own,
		   std::vector<std::string> for_the_guest)
		: operands(std::move(own)), arguments(std::move(for_the_guest)), options_(std::move(options))
	{
	}

	std::vector<std::string> operands;  // VMs, images, a file
	std::vector<std::string> arguments; // what follows `--`

	[[nodiscard]] bool has(const char *option) const { return options_.count(option) != 0; }
	[[nodiscard]] std::optional<std::string> value(const char *option) const;
	// Of an option that may be given several times.
	[[nodiscard]] std::vector<std::string> values(const char *option) const;

private:
	boost::program_options::variables_map options_;
};

// A verb's option. Without a value's name it is a switch.
struct option {
	const char *names; // "long" or "long,s"
	const char *value;
	const char *help;
	bool repeats = false; // may be given several times
};

// A verb: dispatch, help and completion all read this. Its name is a word, or two of
// which the first is its family's.
struct verb {
	const char *name;
	const char *aliases; // separated by blanks
	const char *group;
	const char *synopsis;
	const char *summary;
	std::span<const option> options;
	std::size_t most_operands;
	bool takes_arguments; // after `--`
	int (*run)(const context &, const invocation &);
};

// The table (verbs.cpp).
std::span<const verb> verbs();
const verb *find_verb(std::string_view name);
// `word`, from the table, if it is the first of verbs with two; else empty.
std::string_view find_family(std::string_view word);

// Everything main does once it has a context. argv without the program's name. The
// status is `broken` whenever output is lost that somebody wanted.
int dispatch(context &world, std::span<const char *const> argv);

// Splits and checks a verb's words; those after the first `--` are arguments, or
// operands where a verb takes none.
outcome<invocation> parse(const verb &which, std::span<const std::string> words);

// help.cpp
void print_overview(const context &world);
void print_help(const context &world, const verb &which);
void print_family(const context &world, std::string_view family);
std::string closest_verb(std::string_view typed);

// The verbs.
int verb_attach(const context &, const invocation &);
int verb_clone(const context &, const invocation &);
int verb_completion(const context &, const invocation &);
int verb_create(const context &, const invocation &);
int verb_doctor(const context &, const invocation &);
int verb_help(const context &, const invocation &);
int verb_image_inspect(const context &, const invocation &);
int verb_image_load(const context &, const invocation &);
int verb_image_ls(const context &, const invocation &);
int verb_image_rm(const context &, const invocation &);
int verb_image_tag(const context &, const invocation &);
int verb_info(const context &, const invocation &);
int verb_inspect(const context &, const invocation &);
int verb_ip(const context &, const invocation &);
int verb_kill(const context &, const invocation &);
int verb_logs(const context &, const invocation &);
int verb_migrate(const context &, const invocation &);
int verb_net_create(const context &, const invocation &);
int verb_net_hosts(const context &, const invocation &);
int verb_net_on_demand(const context &, const invocation &);
int verb_net_inspect(const context &, const invocation &);
int verb_net_ls(const context &, const invocation &);
int verb_net_rm(const context &, const invocation &);
int verb_pause(const context &, const invocation &);
int verb_ps(const context &, const invocation &);
int verb_restore(const context &, const invocation &);
int verb_rm(const context &, const invocation &);
int verb_run(const context &, const invocation &);
int verb_save(const context &, const invocation &);
int verb_snapshot(const context &, const invocation &);
int verb_spawn(const context &, const invocation &);
int verb_start(const context &, const invocation &);
int verb_stats(const context &, const invocation &);
int verb_stop(const context &, const invocation &);
int verb_unpause(const context &, const invocation &);
int verb_version(const context &, const invocation &);
int verb_wait(const context &, const invocation &);

// The device, or the cause and the fix.
outcome<device> open_device(const context &world);
// Is there no module at all, so that nothing is loaded?
bool is_module_missing(const failure &why);

} // namespace vmctl::cli

// The value of `expr`, or report its failure and return the exit status.
#define CLI_TRY(world, expr)                                                                                           \
	({                                                                                                             \
		auto try_outcome = (expr);                                                                             \
		if (!try_outcome)                                                                                      \
			return (world).end(try_outcome.error());                                                       \
		*std::move(try_outcome);                                                                               \
	})
