// SPDX-License-Identifier: Apache-2.0
//
// What a bare guest costs on KVM: real mode, one vCPU, 64 KiB of memory.

#pragma once

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.hpp"

// Exits to user space at once. Entered again it measures, and exits with the
// ticks of 1,000 `out` to the ioeventfd in edi and of 1,000 CPUID in eax.
asm(R"(
	.pushsection .rodata
	.code16
	.globl kvm_guest, kvm_guest_end
kvm_guest:
	out	%al, $0x10
0:	mov	$1000, %ecx
	rdtsc
	mov	%eax, %esi
1:	out	%al, $0x20
	dec	%ecx
	jnz	1b
	rdtsc
	sub	%esi, %eax
	mov	%eax, %edi
	mov	$1000, %ebp
	rdtsc
	mov	%eax, %esi
2:	xor	%eax, %eax
	cpuid
	dec	%ebp
	jnz	2b
	rdtsc
	sub	%esi, %eax
	out	%al, $0x10
	jmp	0b
kvm_guest_end:
	.code64
	.popsection
)");
extern "C" const std::byte kvm_guest[], kvm_guest_end[];

namespace bench
{

/// KVM, by its bare ioctls.
class kvm final
{
public:
	kvm() : device_(open("/dev/kvm", O_RDWR | O_CLOEXEC))
	{
		if (device_ < 0)
			die("/dev/kvm");
		run_size_ = static_cast<std::size_t>(call(device_, KVM_GET_VCPU_MMAP_SIZE, 0,
							  "KVM_GET_VCPU_MMAP_SIZE"));
	}
	kvm(const kvm &) = delete;
	kvm &operator=(const kvm &) = delete;
	~kvm() { close(device_); }

	costs measure()
	{
		costs result;
		machine keeper = create(memory()); // Turning the hardware on is not measured.

		measure_exits(keeper, result);
		measure_life(result);
		destroy(keeper);
		return result;
	}

private:
	static constexpr std::size_t memory_size = 64 << 10;
	static constexpr std::uint64_t code_gpa = 0x1000;
	static constexpr unsigned vms = 20;

	struct machine {
		int fd, vcpu;
		kvm_run *run;
	};

	// Guest memory with the code in it, all of it present: not measured either.
	static std::byte *memory()
	{
		void *address = mmap(nullptr, memory_size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (address == MAP_FAILED)
			die("guest memory");
		auto *bytes = static_cast<std::byte *>(address);
		std::copy(kvm_guest, kvm_guest_end, bytes + code_gpa);
		return bytes;
	}

	static void enter(const machine &vm)
	{
		call(vm.vcpu, KVM_RUN, 0, "KVM_RUN");
		if (vm.run->exit_reason != KVM_EXIT_IO) {
			std::fprintf(stderr, "bench: KVM exit %u\n", vm.run->exit_reason);
			std::exit(1);
		}
	}

	// All that it takes from nothing to the first exit.
	machine create(std::byte *bytes)
	{
		machine vm{};
		kvm_userspace_memory_region slot{};
		kvm_sregs sregs{};
		kvm_regs regs{};

		vm.fd = call(device_, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
		slot.memory_size = memory_size;
		slot.userspace_addr = reinterpret_cast<std::uintptr_t>(bytes);
		call(vm.fd, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
		vm.vcpu = call(vm.fd, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
		void *run = mmap(nullptr, run_size_, PROT_READ | PROT_WRITE, MAP_SHARED, vm.vcpu, 0);
		if (run == MAP_FAILED)
			die("mmap of the vCPU");
		vm.run = static_cast<kvm_run *>(run);
		call(vm.vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
		sregs.cs.base = 0;
		sregs.cs.selector = 0;
		call(vm.vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
		regs.rip = code_gpa;
		regs.rflags = 2;
		call(vm.vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
		enter(vm);
		return vm;
	}

	void destroy(const machine &vm) const
	{
		munmap(vm.run, run_size_);
		close(vm.vcpu);
		close(vm.fd);
	}

	void measure_exits(const machine &vm, costs &result)
	{
		std::vector<double> outs, cpuids;
		kvm_ioeventfd wanted{};

		wanted.addr = 0x20;
		wanted.len = 1;
		wanted.flags = KVM_IOEVENTFD_FLAG_PIO;
		wanted.fd = eventfd(0, EFD_CLOEXEC);
		call(vm.fd, KVM_IOEVENTFD, &wanted, "KVM_IOEVENTFD");
		for (unsigned i = 0; i < readings; i++) {
			kvm_regs regs{};

			enter(vm);
			call(vm.vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
			outs.push_back(static_cast<double>(regs.rdi & 0xffffffff) / trips);
			cpuids.push_back(static_cast<double>(regs.rax & 0xffffffff) / trips);
		}
		result.exit = median(outs);
		result.exit_cpuid = median(cpuids);
	}

	void measure_life(costs &result)
	{
		std::vector<double> creates, creates_own, destroys, own;
		taken_by_others(quiet);
		const double before = taken_by_others(quiet);

		for (unsigned i = 0; i < vms; i++) {
			std::byte *bytes = memory();
			std::uint64_t own_start = own_ticks(), start = ticks();
			machine vm = create(bytes);

			creates.push_back(static_cast<double>(ticks() - start));
			creates_own.push_back(static_cast<double>(own_ticks() - own_start));
			own_start = own_ticks();
			start = ticks();
			destroy(vm);
			destroys.push_back(static_cast<double>(ticks() - start));
			own.push_back(static_cast<double>(own_ticks() - own_start));
			munmap(bytes, memory_size);
		}
		result.create_cold = median(creates);
		result.create_own = median(creates_own);
		result.destroy = median(destroys);
		result.destroy_own = median(own);
		result.destroy_deferred = (taken_by_others(quiet) - before) / vms;
	}

	int device_;
	std::size_t run_size_ = 0;
};

}
