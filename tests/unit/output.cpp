// SPDX-License-Identifier: Apache-2.0
// logs and console over a pretended module.
#include "command_line.hpp"

#include <csignal>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace
{

class output_test : public command_line
{};

TEST_F(output_test, logs_prints_each_vms_console)
{
	fake.add("one");
	fake.add("two");
	fake.consoles[1] = "hello\nwor";
	fake.consoles[2] = "hi\n";
	EXPECT_EQ(run({"logs", "1", "2"}), 0);
	EXPECT_EQ(out, "one | hello\none | wor\ntwo | hi\n");
	fake.consoles[1] = "bare";
	EXPECT_EQ(run({"logs", "one"}), 0);
	EXPECT_EQ(out, "bare");
	EXPECT_EQ(run({"logs", "three"}), 1);
	EXPECT_EQ(run({"logs", "-f", "1-2"}), 2);
}

TEST_F(output_test, what_a_slow_reader_has_lost_is_told)
{
	for (const auto &words : {std::initializer_list<const char *>{"logs", "-f", "1"}, {"console", "1"}}) {
		const auto write = [&](const char *text, std::uint64_t lost) {
			fake.consoles[1] += text;
			fake.counters[1].console_bytes += std::strlen(text) + lost;
			if (lost > 0)
				fake.counters[1].console_lost = fake.counters[1].console_bytes - std::strlen(text);
		};
		std::vector<std::function<void()>> waits{
			[&] { write("second\n", 100); },
			[&] { write("third\n", 0); },
			// Between our look at the counters and the read.
			[&] {
				fake.before_read = [&] {
					write("fourth\n", 30);
					fake.end(fake.vms[0], MAYFLY_END_KILLED);
					fake.before_read = nullptr;
				};
			},
		};
		std::size_t next = 0;

		fake.vms.clear();
		fake.add("one").id = 1;
		fake.counters.clear();
		write("first\n", 7);
		fake.while_waiting = [&] { waits.at(next++)(); };
		EXPECT_EQ(run(words), 0);
		EXPECT_EQ(out, "first\nsecond\nthird\nfourth\n");

		const std::string told = std::string("vmctl: ") + words.begin()[0] + ": one: ";

		EXPECT_EQ(err, told + "7 older bytes are lost\n" + told + "100 older bytes are lost\n" + told +
				       "23 older bytes are lost\n" + told + "7 older bytes are lost\n");
	}
}

TEST_F(output_test, what_is_lost_while_logs_reads_is_told)
{
	fake.add("one");
	fake.consoles[1] = std::string(4096, 'x');
	fake.counters[1].console_bytes = 4096;
	// A full ring, between our look at the counters and the read.
	fake.before_read = [&] {
		fake.consoles[1] = fake.consoles[1].substr(30) + std::string(30, 'y');
		fake.counters[1].console_bytes += 30;
		fake.counters[1].console_lost += 30;
		fake.before_read = nullptr;
	};
	EXPECT_EQ(run({"logs", "1"}), 0);
	EXPECT_EQ(out, std::string(4066, 'x') + std::string(30, 'y'));
	EXPECT_EQ(err, "vmctl: logs: one: 30 older bytes are lost\n");
}

// A terminal that nobody types on.
class pseudo_terminal
{
public:
	pseudo_terminal() : ours_(::posix_openpt(O_RDWR | O_NOCTTY))
	{
		EXPECT_EQ(::grantpt(ours_), 0);
		EXPECT_EQ(::unlockpt(ours_), 0);
		theirs_ = ::open(::ptsname(ours_), O_RDWR | O_NOCTTY);
		EXPECT_GE(theirs_, 0);
	}

	pseudo_terminal(const pseudo_terminal &) = delete;
	pseudo_terminal &operator=(const pseudo_terminal &) = delete;

	~pseudo_terminal()
	{
		::close(theirs_);
		::close(ours_);
	}

	int fd() const { return theirs_; }

	bool is_raw() const
	{
		termios mode{};

		EXPECT_EQ(::tcgetattr(theirs_, &mode), 0);
		return (mode.c_lflag & (ICANON | ECHO | ISIG)) != (ICANON | ECHO | ISIG);
	}

private:
	int ours_, theirs_ = -1;
};

TEST_F(output_test, console_restores_the_terminal)
{
	const pseudo_terminal typed;

	in = typed.fd();
	fake.add("one");
	fake.while_waiting = [&] {
		EXPECT_TRUE(typed.is_raw());
		fake.end(fake.vms[0], MAYFLY_END_KILLED);
	};
	EXPECT_EQ(run({"console", "1"}), 0);
	EXPECT_EQ(err, "console of one; Ctrl-] leaves it\none: killed\n");
	EXPECT_FALSE(typed.is_raw());
}

TEST_F(output_test, console_leaves_when_no_key_can_be_read)
{
	const pseudo_terminal typed;
	int waits = 0;

	in = typed.fd();
	fake.add("one");
	fake.poll_events = POLLERR;
	fake.keys_error = EIO;
	fake.while_waiting = [&] {
		if (++waits > 1)
			fake.end(fake.vms[0], MAYFLY_END_KILLED);
	};
	EXPECT_EQ(run({"console", "1"}), 0);
	EXPECT_EQ(err, "console of one; Ctrl-] leaves it\n\nleft; one goes on\n");
	// Nothing to be read yet is no error.
	fake.keys_error = EAGAIN;
	waits = 0;
	EXPECT_EQ(run({"console", "1"}), 0);
	EXPECT_EQ(waits, 2);
}

TEST_F(output_test, console_restores_the_terminal_when_a_signal_ends_it)
{
	const pseudo_terminal typed;

	in = typed.fd();
	fake.add("one");
	for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGUSR1, SIGXCPU, SIGABRT, SIGIO, SIGPWR,
				 SIGSEGV, SIGBUS, SIGSTKFLT, SIGRTMIN, SIGRTMAX}) {
		fake.while_waiting = [&] {
			if (typed.is_raw())
				std::raise(number);
		};
		EXPECT_EXIT(run({"console", "1"}), testing::KilledBySignal(number), "");
		EXPECT_FALSE(typed.is_raw()) << number;
	}
}

} // namespace
