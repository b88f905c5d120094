// SPDX-License-Identifier: Apache-2.0
// What `vmctl help` and the manual page say alike.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cli.hpp"

namespace vmctl::cli
{

inline constexpr const char *tagline = "thousands of tiny virtual machines, run by the Mayfly module";

struct example {
	const char *command;
	const char *purpose;
};

inline constexpr std::array examples{
	example{"vmctl doctor", "can this machine run them?"},
	example{"vmctl run", "one VM in the foreground that says hello"},
	example{"vmctl run daytime -- 3", "another image, with arguments"},
	example{"vmctl spawn -n 1000", "a thousand in the background"},
	example{"vmctl image load ./app", "keep your own image, to spawn it by its name"},
	example{"vmctl ps", "what is there"},
	example{"vmctl stats", "what it uses, as it goes"},
	example{"vmctl logs 17", "what VM 17 has said"},
	example{"vmctl stop --all", "end them, politely"},
	example{"vmctl rm --all", "and forget them"},
};

struct exit_meaning {
	int status;
	const char *meaning;
};

inline constexpr const char *guests_statuses =
	"run and wait end with the guest's own status, 137 if it was killed, 125 after any\nother end. Else:";
inline constexpr std::array exit_meanings{
	exit_meaning{status::ok, "done"},
	exit_meaning{status::some_failed, "some failed"},
	exit_meaning{status::usage, "usage"},
	exit_meaning{status::broken, "vmctl or the module failed, or output was lost"},
	exit_meaning{status::not_startable, "the image cannot be started"},
	exit_meaning{status::no_image, "no such image"},
	exit_meaning{status::interrupted, "Ctrl-C"},
};

inline constexpr const char *vm_rule =
	"A VM is an id, a name, the start of just one name, a glob such as 'web-*' or a\nrange of ids such as 1-1000.";
inline constexpr const char *image_rule =
	"An IMAGE is a file if there is a '/' in it; else a loaded image's name or id, a\n"
	"bundled image or a file here, in this order ('vmctl images' lists the first two).";

// What is said of an operand wherever a synopsis has it.
struct operand_rule {
	const char *operand;
	const char *rule;
};

inline constexpr std::array operand_rules{
	operand_rule{"VM", vm_rule},
	operand_rule{"IMAGE", image_rule},
	operand_rule{"[IMAGE]", "Without an IMAGE it is the bundled hello."},
	operand_rule{"FILE", "A FILE without a '/' in it is a bundled image or a file here, in this order."},
	operand_rule{"LOADED", "LOADED is the name or the id of a loaded image."},
};

// help.cpp: the words of a text that blanks separate.
std::vector<std::string> words_of(const char *text);
// help.cpp: "--memory", "-m" from "memory,m".
std::vector<std::string> spellings(const option &entry);

// manual.cpp: all of it as a page for man(1).
void print_manual(const context &world);

} // namespace vmctl::cli
