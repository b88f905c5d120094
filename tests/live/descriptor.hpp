// SPDX-License-Identifier: Apache-2.0
//
// Descriptors, raw calls on them and how to wait for what they say, for tests that
// see exactly what the module answers.

#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <mayfly.h>

namespace live
{

/// A file descriptor that is closed in the end.
class fd final
{
public:
	fd() = default;
	explicit fd(int number) : number_(number) {}
	fd(fd &&other) noexcept : number_(std::exchange(other.number_, -1)) {}
	fd &operator=(fd &&other) noexcept
	{
		std::swap(number_, other.number_);
		return *this;
	}
	~fd() { reset(); }

	[[nodiscard]] int get() const { return number_; }
	void reset()
	{
		if (number_ >= 0)
			close(std::exchange(number_, -1));
	}

private:
	int number_ = -1;
};

/// ioctl(2) that returns 0 or more, or a negative errno.
template <class T> int call(const fd &on, unsigned long request, T *argument)
{
	const int ret = ioctl(on.get(), request, argument);

	return ret < 0 ? -errno : ret;
}

/// All registers of a vCPU, in one piece.
struct vcpu_state : mayfly_vcpu_state {
	__u8 fpu[MAYFLY_FXSAVE_SIZE];
};

inline fd open_device()
{
	return fd(open(MAYFLY_DEVICE, O_RDWR | O_CLOEXEC));
}

inline std::uint64_t address(const void *pointer)
{
	return reinterpret_cast<std::uintptr_t>(pointer);
}

/// What a call that fills \p row takes.
template <class Row> mayfly_row row_request(Row &row)
{
	mayfly_row args{};

	args.row = address(&row);
	args.row_size = sizeof(row);
	return args;
}

template <class Row> int call_row(const fd &on, unsigned long request, Row &row)
{
	mayfly_row args = row_request(row);

	return call(on, request, &args);
}

/// What GET_STATE and SET_STATE take for \p state.
inline mayfly_state state_request(const vcpu_state &state)
{
	mayfly_state args{};

	args.registers = address(static_cast<const mayfly_vcpu_state *>(&state));
	args.registers_size = sizeof(mayfly_vcpu_state);
	args.extended = address(state.fpu);
	args.extended_size = sizeof(state.fpu);
	return args;
}

inline int get_state(const fd &vm, vcpu_state &state)
{
	mayfly_state args = state_request(state);

	return call(vm, MAYFLY_GET_STATE, &args);
}

inline int set_state(const fd &vm, const vcpu_state &state)
{
	mayfly_state args = state_request(state);

	return call(vm, MAYFLY_SET_STATE, &args);
}

/// MEMORY, and how many bytes it has copied.
inline int access_memory(const fd &vm, std::uint64_t gpa, std::span<std::byte> bytes, std::uint32_t flags,
			 std::uint64_t *done = nullptr)
{
	mayfly_memory args{};

	args.gpa = gpa;
	args.buffer = address(bytes.data());
	args.length = bytes.size();
	args.flags = flags;
	const int ret = call(vm, MAYFLY_MEMORY, &args);

	if (done)
		*done = args.done;
	return ret;
}

/// An image descriptor, or a negative errno.
inline int create_image(const fd &device, mayfly_image_create create)
{
	const int ret = call(device, MAYFLY_IMAGE_CREATE, &create);

	return ret ? ret : create.fd;
}

/// The calling thread, on this CPU and no other from now on.
inline bool run_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

/// The lowest positive address that is not canonical for this CPU.
inline std::uint64_t not_canonical()
{
	unsigned int sizes = 0, unused = 0;

	__get_cpuid(0x80000008, &sizes, &unused, &unused, &unused);
	return std::uint64_t{1} << ((sizes >> 8 & 0xff) - 1);
}

/// Waits until \p condition holds, \p seconds at most; says whether it does.
template <class Condition> bool eventually(Condition condition, int seconds = 60)
{
	const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);

	while (!condition()) {
		if (std::chrono::steady_clock::now() > limit)
			return false;
		usleep(1000);
	}
	return true;
}

}
