// SPDX-License-Identifier: Apache-2.0
// The page vmctl(1), in the language of man(7). Commands, options, examples and
// statuses are those of `vmctl help`; only what needs more room than a terminal has
// is here.
#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "help.hpp"

namespace vmctl::cli
{

namespace
{

// As text that roff takes for nothing else: no line is a request, no '-' a hyphen
// that breaks a word or cannot be pasted.
std::string plain(std::string_view text)
{
	std::string made;

	for (std::size_t at = 0; at < text.size(); at++) {
		switch (text[at]) {
		case '\\':
			made += "\\e";
			break;
		case '-':
			made += "\\-";
			break;
		case '\'':
			made += "\\(aq";
			break;
		case '`':
			made += "\\(ga";
			break;
		case '^':
			made += "\\(ha";
			break;
		case '~':
			made += "\\(ti";
			break;
		case '.':
			made += at == 0 || text[at - 1] == '\n' ? "\\&." : ".";
			break;
		default:
			if (text.substr(at).starts_with("…")) {
				made += "\\&...";
				at += std::string_view("…").size() - 1;
			} else {
				made += text[at];
			}
		}
	}
	return made;
}

std::string bold(std::string_view text)
{
	return fmt::format("\\fB{}\\fR", plain(text));
}

std::string italic(std::string_view text)
{
	return fmt::format("\\fI{}\\fR", plain(text));
}

bool is_of_a_word(char c)
{
	return c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// A synopsis: what is typed as it stands is bold, what stands for something, which is
// in capitals, italic.
std::string marked(std::string_view synopsis)
{
	std::string made;

	while (!synopsis.empty()) {
		std::size_t length = 0;

		while (length < synopsis.size() && is_of_a_word(synopsis[length]))
			length++;

		const std::string_view word = synopsis.substr(0, length);

		if (word.empty())
			length = synopsis.find_first_of("-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (word.empty())
			made += plain(synopsis.substr(0, length));
		else
			made += word.front() >= 'A' && word.front() <= 'Z' ? italic(word) : bold(word);
		synopsis.remove_prefix(std::min(length, synopsis.size()));
	}
	return made;
}

void print_option(const context &world, const option &entry)
{
	std::string names;

	for (const std::string &name : spellings(entry))
		names = bold(name) + (names.empty() ? "" : ", ") + names;
	if (*entry.value != '\0')
		names += " " + italic(entry.value);
	world.out.print(".TP\n{}\n{}\n", names, plain(entry.help));
}

void print_verb(const context &world, const verb &entry)
{
	world.out.print(".TP\n{}\n{}.\n", marked(entry.synopsis), plain(entry.summary));
	if (*entry.aliases != '\0') {
		std::string names;

		for (const std::string &name : words_of(entry.aliases))
			names += (names.empty() ? "" : ", ") + bold(name);
		world.out.print("Also known as {}.\n", names);
	}
	if (entry.options.empty())
		return;
	world.out.print(".RS\n");
	for (const option &each : entry.options)
		print_option(world, each);
	world.out.print(".RE\n");
}

void print_verbs(const context &world)
{
	std::string_view group;

	world.out.print(".SH COMMANDS\n"
			"Every command explains itself when it gets\n"
			"\\fB\\-h\\fR or \\fB\\-\\-help\\fR.\n");
	for (const verb &entry : verbs()) {
		if (group != entry.group)
			world.out.print(".SS {}\n", entry.group);
		group = entry.group;
		print_verb(world, entry);
	}
}

void print_description(const context &world)
{
	world.out.print(".SH DESCRIPTION\n"
			"Mayfly is a hypervisor in a kernel module; \\fBvmctl\\fR starts its virtual machines\n"
			"(VMs), lists, watches and ends them. There is no daemon: VMs in the background are\n"
			"the module's, and stay when \\fBvmctl\\fR ends.\n"
			".PP\n"
			"Data goes to standard output, messages go to standard error. Commands that print\n"
			"data take \\fB\\-\\-json\\fR. What follows \\fB\\-\\-\\fR is for the guest.\n");
}

void print_names(const context &world)
{
	world.out.print(".SH IMAGES\n{}\n"
			"Without one, \\fBrun\\fR, \\fBspawn\\fR and \\fBcreate\\fR take the bundled hello, whatever\n"
			"lies in the current folder. If a name means more than one image, \\fBvmctl\\fR says which\n"
			"it took.\n"
			".SH VMS\n{}\n"
			"An id, an exact name and the start of a name must mean a VM; a glob and a range may\n"
			"mean none.\n"
			".PP\n"
			"A name is a letter, then letters, digits, \\(aq.\\(aq, \\(aq_\\(aq or \\(aq\\-\\(aq; it has\n"
			"at most {} characters.\n",
			plain(image_rule), plain(vm_rule), max_name_length);
}

void print_statuses(const context &world)
{
	world.out.print(".SH EXIT STATUS\n{}\n", plain(guests_statuses));
	for (const exit_meaning &entry : exit_meanings)
		world.out.print(".TP\n\\fB{}\\fR\n{}\n", entry.status, plain(entry.meaning));
}

void print_files(const context &world)
{
	world.out.print(".SH FILES\n"
			".TP\n\\fI/dev/mayfly\\fR\n"
			"the module; who may open it may start VMs\n"
			".TP\n\\fI../lib/mayfly/guests\\fR\n"
			"the bundled images, from the folder that \\fBvmctl\\fR is in\n"
			".TP\n\\fI/sys/module/mayfly/parameters\\fR\n"
			"the module's limits\n");
}

void print_examples(const context &world)
{
	world.out.print(".SH EXAMPLES\n");
	for (const example &entry : examples)
		world.out.print(".TP\n{}\n{}\n", bold(entry.command), plain(entry.purpose));
}

} // namespace

void print_manual(const context &world)
{
	world.out.print(".\\\" Made by: vmctl help --man\n"
			".TH VMCTL 1 \"\" \"Mayfly {}\" \"User Commands\"\n"
			".SH NAME\nvmctl \\- {}\n"
			".SH SYNOPSIS\n\\fBvmctl\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR\\&...] [\\fIOPERAND\\fR\\&...] "
			"[\\fB\\-\\-\\fR \\fIARGUMENT\\fR\\&...]\n",
			VMCTL_VERSION, plain(tagline));
	print_description(world);
	print_verbs(world);
	print_names(world);
	print_statuses(world);
	print_files(world);
	print_examples(world);
	world.out.print(".SH SEE ALSO\n.BR bash (1),\n.BR perf (1),\n.BR trace\\-cmd (1)\n");
}

} // namespace vmctl::cli
