// SPDX-License-Identifier: Apache-2.0
//
// walk: what a guest costs that writes a word to each page of 256 MiB, in order,
// on Mayfly and on KVM: instructions in all, and times it left guest mode. Means
// something only under `nested-host --icount`, with kvm_amd or kvm_intel loaded.

#include <cstddef>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <mayfly.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bare_image.hpp"
#include "measure.hpp"

using namespace bench;

// The same walk: from 16 MiB, 65,536 pages. One ends with a hypercall, the other,
// in protected mode without paging, with a port that nobody has.
asm(R"(
	.pushsection .rodata
	.globl mayfly_walk, mayfly_walk_end, kvm_walk, kvm_walk_end
mayfly_walk:
	mov	$0xffffffff81000000, %rbx
	mov	$65536, %ecx
1:	mov	%ecx, (%rbx)
	add	$4096, %rbx
	dec	%ecx
	jnz	1b
	mov	$0xffffffff80001000, %r15	# the stub
	xor	%edi, %edi
	xor	%eax, %eax			# exit
	lea	2f(%rip), %rsp
	jmp	*%r15
2:	.quad	0
mayfly_walk_end:
	.code32
kvm_walk:
	mov	$0x1000000, %ebx
	mov	$65536, %ecx
1:	mov	%ecx, (%ebx)
	add	$4096, %ebx
	dec	%ecx
	jnz	1b
	out	%al, $0x10
kvm_walk_end:
	.code64
	.popsection
)");
extern "C" const std::byte mayfly_walk[], mayfly_walk_end[], kvm_walk[], kvm_walk_end[];

namespace
{

constexpr std::uint64_t memory_size = 288 << 20;
/// Where KVM's guest memory is: aligned, or it would get no large pages.
constexpr std::uintptr_t memory_at = 0x100000000000;

struct cost {
	std::uint64_t instructions, exits;
};

/// Counts a tracepoint on all CPUs for as long as it exists.
class counter final
{
public:
	explicit counter(const std::string &event)
	{
		perf_event_attr attribute{};
		std::ifstream file("/sys/kernel/tracing/events/" + event + "/id");

		attribute.type = PERF_TYPE_TRACEPOINT;
		attribute.size = sizeof(attribute);
		file >> attribute.config;
		fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attribute, -1, 0, -1, 0));
		if (!file || fd_ < 0)
			die(event.c_str());
	}
	counter(const counter &) = delete;
	counter &operator=(const counter &) = delete;
	~counter() { close(fd_); }

	[[nodiscard]] std::uint64_t value() const
	{
		std::uint64_t count = 0;

		if (read(fd_, &count, sizeof(count)) != sizeof(count))
			die("perf");
		return count;
	}

private:
	int fd_;
};

/// A new VM's walk on Mayfly, in this thread: ticks from before it is made.
std::uint64_t walk_on_mayfly(int device, int image)
{
	mayfly_spawn spawn{};
	mayfly_run run{};
	mayfly_vm_info stat{};

	spawn.image = image;
	spawn.count = 1;
	spawn.memory = memory_size;
	const std::uint64_t start = ticks();

	call(device, MAYFLY_SPAWN, &spawn, "MAYFLY_SPAWN");
	do
		call(spawn.fd, MAYFLY_RUN, &run, "MAYFLY_RUN");
	while (run.outcome == MAYFLY_RAN_AGAIN);
	const std::uint64_t took = ticks() - start;

	call_row(spawn.fd, MAYFLY_STAT, stat, "MAYFLY_STAT");
	if (stat.reason != MAYFLY_END_EXITED || stat.status != 0) {
		std::fprintf(stderr, "bench: the guest ended for reason %u\n", stat.reason);
		std::exit(1);
	}
	close(spawn.fd);
	return took;
}

cost measure_mayfly()
{
	const int device = open(MAYFLY_DEVICE, O_RDWR | O_CLOEXEC);

	if (device < 0)
		die(MAYFLY_DEVICE);
	const int image = bare_image(device, mayfly_walk, mayfly_walk_end);
	cost result{.instructions = walk_on_mayfly(device, image), .exits = 0};
	const counter exits("mayfly/vm_exit");

	walk_on_mayfly(device, image);
	result.exits = exits.value();
	return result;
}

// Flat segments of 4 GiB, protected mode, no paging.
void enter_protected_mode(int vcpu)
{
	kvm_sregs sregs{};
	kvm_segment flat{};

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	flat.limit = 0xffffffff;
	flat.selector = 0x10;
	flat.type = 3;
	flat.present = flat.db = flat.s = flat.g = 1;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	flat.selector = 0x08;
	flat.type = 11;
	sregs.cs = flat;
	sregs.cr0 |= 1;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
}

/// The same on KVM: memory that its thread has mapped and not touched.
std::uint64_t walk_on_kvm(int device)
{
	kvm_userspace_memory_region slot{};
	kvm_regs regs{};
	const std::uint64_t start = ticks();
	void *const memory = mmap(reinterpret_cast<void *>(memory_at), memory_size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory == MAP_FAILED)
		die("guest memory");
	std::copy(kvm_walk, kvm_walk_end, static_cast<std::byte *>(memory) + code_gpa);
	const int vm = call(device, KVM_CREATE_VM, 0, "KVM_CREATE_VM");

	slot.memory_size = memory_size;
	slot.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
	call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	const int vcpu = call(vm, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
	const auto size = static_cast<std::size_t>(call(device, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE"));
	auto *const run = static_cast<kvm_run *>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));

	enter_protected_mode(vcpu);
	regs.rip = code_gpa;
	regs.rflags = 2;
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	call(vcpu, KVM_RUN, 0, "KVM_RUN");
	const std::uint64_t took = ticks() - start;

	if (run->exit_reason != KVM_EXIT_IO) {
		std::fprintf(stderr, "bench: KVM exit %u\n", run->exit_reason);
		std::exit(1);
	}
	munmap(run, size);
	close(vcpu);
	close(vm);
	munmap(memory, memory_size);
	return took;
}

cost measure_kvm()
{
	const int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (device < 0)
		die("/dev/kvm");
	cost result{.instructions = walk_on_kvm(device), .exits = 0};
	const counter exits("kvm/kvm_exit");

	walk_on_kvm(device);
	result.exits = exits.value();
	close(device);
	return result;
}

void print(const char *name, std::uint64_t ours, std::uint64_t theirs)
{
	std::printf("%-14s %14llu %14llu\n", name, static_cast<unsigned long long>(ours),
		    static_cast<unsigned long long>(theirs));
}

}

int main()
{
	check_clock();
	const cost theirs = measure_kvm();
	const cost ours = measure_mayfly();

	std::printf("%-14s %14s %14s  goal: not more than KVM\n", "256 MiB", "Mayfly", "KVM");
	print("instructions", ours.instructions, theirs.instructions);
	print("exits", ours.exits, theirs.exits);
	return ours.instructions > theirs.instructions || ours.exits > theirs.exits;
}
