// SPDX-License-Identifier: Apache-2.0
//
// next_kernel            a kernel for `kexec`: loads it and starts it
// next_kernel --crash    loads it for a panic (needs crashkernel= at boot)
//
// The kernel is a page that does what a real one does first. It gets as far as
// its first instruction only where VT-x was off on this CPU (the kernel before
// it has cleared CR4.VMXE), says whether SVM is, and starts the other CPU with
// INIT, which a CPU in VMX operation or with interrupts globally off ignores. It
// says so on COM2, sends nested-host a status on COM3 and resets the machine.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

// Entered in 64-bit mode, without a stack to rely on, memory mapped one to one,
// at any address; only rbx, r12 to r15 and rsp live long.
asm(R"(
	.pushsection .rodata
	.balign 4096
	.globl next_kernel, next_kernel_end
	.set	low_page, 0x8000
	.set	mark, 0x8f00
	.set	local_apic, 0xfee00000
next_kernel:
	lea	stack_end(%rip), %rsp
	call	map_local_apic
	mov	$0x2f8, %ebx
	mov	$0xc0000080, %ecx	# EFER
	rdmsr
	lea	svm_off(%rip), %rsi
	lea	svm_on(%rip), %rdi
	bt	$12, %eax
	cmovc	%rdi, %rsi
	call	print
	call	start_other_cpu
	lea	started(%rip), %rsi
	lea	silent(%rip), %rdi
	cmpw	$0x600d, mark
	cmovne	%rdi, %rsi
	call	print
	mov	$0x3e8, %ebx
	lea	status(%rip), %rsi
	call	print
	lidt	no_idt(%rip)
	int3

# The tables we were left map memory only. The third and fourth GiB are one
# entry each in the second table, if that.
map_local_apic:
	movabs	$0xffffffffff000, %rcx	# an entry's address
	mov	%cr3, %rax
	and	%rcx, %rax
	mov	(%rax), %rax
	and	%rcx, %rax
	lea	own_table(%rip), %rdi
	mov	24(%rax), %rdx
	test	$1, %dl
	jz	1f
	test	$0x80, %dl
	jnz	2f			# a page of 1 GiB covers it
	mov	%rdx, %rdi
	and	%rcx, %rdi
	jmp	3f
1:	lea	3(%rdi), %rdx
	mov	%rdx, 24(%rax)
3:	mov	$local_apic | 0x9b, %edx	# 2 MiB, not cached
	mov	%rdx, 0x1f7 * 8(%rdi)
2:	mov	%cr3, %rax
	mov	%rax, %cr3
	ret

start_other_cpu:
	movw	$0, mark
	lea	other_cpu(%rip), %rsi
	mov	$low_page, %edi
	mov	$other_cpu_end - other_cpu, %ecx
	rep movsb
	mov	$local_apic, %r12d
	movl	$0x1ff, 0xf0(%r12)	# the last kernel has switched it off
	movl	$0xc4500, 0x300(%r12)	# INIT to all others
	mov	$1000000, %ecx
0:	pause
	loop	0b
	movl	$0xc4600 + low_page / 4096, 0x300(%r12)
	mov	$50000000, %ecx
1:	pause
	cmpw	$0x600d, mark
	loopne	1b
	ret

print:	lodsb
	test	%al, %al
	jz	2f
	mov	%al, %r13b
	lea	5(%rbx), %edx
	mov	$1000000, %ecx
0:	in	%dx, %al
	test	$0x20, %al		# ready for the next byte
	loopz	0b
	mov	%r13b, %al
	mov	%ebx, %edx
	out	%al, %dx
	jmp	print
2:	lea	5(%rbx), %edx
	mov	$1000000, %ecx
3:	in	%dx, %al
	test	$0x40, %al		# all of them are out
	loopz	3b
	ret

	.code16
other_cpu:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	movw	$0x600d, mark
0:	hlt
	jmp	0b
other_cpu_end:
	.code64

svm_off: .asciz "next kernel: SVM is off\n"
svm_on:	.asciz "next kernel: SVM is still on\n"
started: .asciz "next kernel: the other CPU starts\n"
silent:	.asciz "next kernel: no other CPU starts\n"
status:	.asciz "status 0\n"
no_idt:	.skip	10
	.balign 16
	.skip	256
stack_end:
	.balign 4096
own_table:
	.skip	4096
next_kernel_end:
	.popsection
)");
extern "C" const char next_kernel[], next_kernel_end[];

namespace
{

constexpr std::uint64_t anywhere = 32 << 20, page = 4096;

// Where the memory for the kernel of a panic begins, 0 if there is none.
std::uint64_t crash_memory()
{
	std::ifstream file("/proc/iomem");

	for (std::string line; std::getline(file, line);)
		if (line.find("Crash kernel") != std::string::npos)
			return std::stoull(line, nullptr, 16);
	return 0;
}

bool load(std::uint64_t where, unsigned long flags)
{
	const auto size = static_cast<std::size_t>(next_kernel_end - next_kernel);
	kexec_segment segment{};

	segment.buf = next_kernel;
	segment.bufsz = size;
	segment.mem = reinterpret_cast<void *>(where); // NOLINT: a physical address
	segment.memsz = (size + page - 1) / page * page;
	return syscall(SYS_kexec_load, where, 1ul, &segment, flags) == 0;
}

}

int main(int argc, char **argv)
{
	const bool crash = argc > 1 && std::string(argv[1]) == "--crash";
	const std::uint64_t where = crash ? crash_memory() : anywhere;

	if (where == 0 || !load(where, crash ? KEXEC_ON_CRASH : 0)) {
		std::fprintf(stderr, "next_kernel: cannot load it: %s\n",
			     where ? std::strerror(errno) : "no memory for a crash kernel");
		return 1;
	}
	if (crash)
		return 0;
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, nullptr);
	std::fprintf(stderr, "next_kernel: cannot start it: %s\n", std::strerror(errno));
	return 1;
}
