// SPDX-License-Identifier: Apache-2.0
//
// The tracepoints, as trace-cmd and perf use them: text from tracefs, counts from
// perf_event_open.

#include <fstream>
#include <map>

#include <linux/perf_event.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "machine.hpp"

namespace
{

using live::machine;

const std::string tracefs = "/sys/kernel/tracing/";

/// An instance of the tracer with all of Mayfly's events on, gone in the end.
class tracer final
{
public:
	tracer()
	{
		EXPECT_EQ(mkdir(path_.c_str(), 0755), 0) << path_ << ": " << strerror(errno);
		enable(true);
	}
	~tracer() { EXPECT_EQ(rmdir(path_.c_str()), 0) << strerror(errno); }
	tracer(const tracer &) = delete;
	tracer &operator=(const tracer &) = delete;

	/// What \p event said about VM \p id, in order; stops the tracer.
	[[nodiscard]] std::vector<std::string> lines(const std::string &event, std::uint64_t id) const
	{
		const std::string wanted = " " + event + ": vm=" + std::to_string(id) + " ";
		std::vector<std::string> found;

		enable(false);
		std::ifstream trace(path_ + "/trace");
		for (std::string line; std::getline(trace, line);)
			if (const std::size_t at = line.find(wanted); at != std::string::npos)
				found.push_back(line.substr(at + wanted.size()));
		return found;
	}

private:
	void enable(bool on) const
	{
		std::ofstream file(path_ + "/events/mayfly/enable");

		file << (on ? "1" : "0") << std::flush;
		EXPECT_TRUE(file.good()) << "no events/mayfly under " << path_;
	}
	std::string path_ = tracefs + "instances/mayfly-live-test";
};

std::string value_of(const std::string &line, const std::string &key)
{
	const std::size_t at = line.find(key + "=");

	if (at == std::string::npos)
		return {};
	const std::size_t begin = at + key.size() + 1;

	return line.substr(begin, line.find(' ', begin) - begin);
}

class Traces : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		if (access(tracefs.c_str(), X_OK))
			GTEST_SKIP() << "needs " << tracefs << ": run as root";
	}
};

TEST_F(Traces, EveryExitIsTracedWithItsReason)
{
	static const char *const names[MAYFLY_EXIT_REASONS] = {
		"interrupt", "hypercall", "cpuid", "hlt", "msr", "memory", "denied", "exception", "shutdown", "invalid",
	};
	const live::fd image = live::make_image(device, guests::stamp);
	const machine vm(image, device);
	const tracer trace;

	vm.set_parameters(guests::range_gpa, 20);
	ASSERT_EQ(vm.run(), 0);

	const mayfly_vm_info stat = vm.info();
	std::map<std::string, std::uint64_t> seen;

	for (const std::string &line : trace.lines("vm_exit", stat.id))
		seen[value_of(line, "reason")]++;
	for (unsigned i = 0; i < MAYFLY_EXIT_REASONS; i++)
		EXPECT_EQ(seen[names[i]], stat.exits_by[i]) << names[i];
	EXPECT_EQ(trace.lines("vm_entry", stat.id).size(), stat.exits);

	std::uint64_t writes = 0;

	for (const std::string &line : trace.lines("fault", stat.id))
		writes += value_of(line, "access") == "write" && value_of(line, "error") == "0";
	EXPECT_GE(writes, 5u);
}

TEST_F(Traces, StatesTellALife)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const tracer trace;
	const machine vm(image, device, MAYFLY_SPAWN_START);

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);

	std::vector<std::string> life;

	for (const std::string &line : trace.lines("vm_state", vm.info().id)) {
		// The scheduler may have cut its only slice in two.
		if (line == "ready -> running reason=-" && life.back() == "running -> ready reason=-")
			life.pop_back();
		else
			life.push_back(line);
	}

	const std::vector<std::string> want = {
		"ready -> ready reason=-", // queued
		"ready -> running reason=-",      "running -> parked reason=-",
		"parked -> paused reason=-",      "paused -> parked reason=-",
		"parked -> running reason=-", // claimed by its killer
		"running -> ended reason=killed",
	};

	EXPECT_EQ(life, want);
}

TEST_F(Traces, PerfCountsThem)
{
	std::ifstream file(tracefs + "events/mayfly/vm_exit/id");
	perf_event_attr attribute{};

	attribute.type = PERF_TYPE_TRACEPOINT;
	attribute.size = sizeof(attribute);
	ASSERT_TRUE(file >> attribute.config);
	const live::fd counter(static_cast<int>(syscall(SYS_perf_event_open, &attribute, 0, -1, -1, 0)));

	ASSERT_GE(counter.get(), 0) << strerror(errno);

	const live::fd image = live::make_image(device, guests::stamp);
	const machine vm(image, device);
	std::uint64_t count = 0;

	ASSERT_EQ(vm.run(), 0);
	ASSERT_EQ(read(counter.get(), &count, sizeof(count)), ssize_t{sizeof(count)});
	EXPECT_GT(count, 5u);
	EXPECT_EQ(count, vm.info().exits);
}

}
