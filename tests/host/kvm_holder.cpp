// SPDX-License-Identifier: Apache-2.0
//
// A virtual machine of KVM's that runs for as long as standard input is open, with
// a look at that input at each of its exits to user space.
// Says "running" after its first exit to user space, and how many there have
// been, once per line of input. Status 75 if KVM has no virtual machine to give.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

// Comes back again and again: not every emulator interrupts a guest that loops.
asm(R"(
	.pushsection .rodata
	.code16
	.globl holder_guest, holder_guest_end
holder_guest:
	mov	$100, %cx
0:	loop	0b
	out	%al, $0x10
	jmp	holder_guest
holder_guest_end:
	.code64
	.popsection
)");
extern "C" const char holder_guest[], holder_guest_end[];

namespace
{

constexpr std::size_t memory_size = 4096;
constexpr int refused = 75;
constexpr int patience_ms = 10; // emulated CPUs are shared with the test itself

[[noreturn]] void die(const char *what)
{
	std::fprintf(stderr, "kvm_holder: %s: %s\n", what, std::strerror(errno));
	// From Linux 6.12 on it says EIO.
	std::exit(errno == EBUSY || errno == EIO ? refused : 1);
}

int call(int fd, unsigned long request, void *argument, const char *what)
{
	const int ret = ioctl(fd, request, argument);

	if (ret < 0)
		die(what);
	return ret;
}

void *map(int fd, std::size_t size, int flags)
{
	void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (address == MAP_FAILED)
		die("mmap");
	return address;
}

int make_vcpu(int device)
{
	const int vm = call(device, KVM_CREATE_VM, nullptr, "KVM_CREATE_VM");
	void *memory = map(-1, memory_size, MAP_PRIVATE | MAP_ANONYMOUS);
	kvm_userspace_memory_region slot{};
	kvm_sregs sregs{};
	kvm_regs regs{};

	std::memcpy(memory, holder_guest, static_cast<std::size_t>(holder_guest_end - holder_guest));
	slot.memory_size = memory_size;
	slot.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
	call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	const int vcpu = call(vm, KVM_CREATE_VCPU, nullptr, "KVM_CREATE_VCPU");
	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	regs.rflags = 2;
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
	return vcpu;
}

// Whether there was a line soon; the end of input ends the program.
bool take_line()
{
	pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
	char line[64];

	if (poll(&input, 1, patience_ms) <= 0)
		return false;
	if (read(STDIN_FILENO, line, sizeof line) <= 0)
		std::exit(0);
	return true;
}

}

int main()
{
	const int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (device < 0)
		die("/dev/kvm");

	const int vcpu = make_vcpu(device);
	const int size = call(device, KVM_GET_VCPU_MMAP_SIZE, nullptr, "KVM_GET_VCPU_MMAP_SIZE");
	const auto *run = static_cast<kvm_run *>(map(vcpu, static_cast<std::size_t>(size), MAP_SHARED));

	std::setvbuf(stdout, nullptr, _IOLBF, 0);
	for (unsigned long exits = 1;; exits++) {
		call(vcpu, KVM_RUN, nullptr, "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO) {
			std::fprintf(stderr, "kvm_holder: KVM exit %u\n", run->exit_reason);
			return 1;
		}
		if (exits == 1)
			std::puts("running");
		if (take_line())
			std::printf("%lu\n", exits);
	}
}
