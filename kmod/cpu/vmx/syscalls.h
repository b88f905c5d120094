/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * syscalls.h - system calls inside of guests.
 */
#ifndef MAYFLY_VMX_SYSCALLS_H
#define MAYFLY_VMX_SYSCALLS_H

#include <linux/types.h>

struct mayfly_vcpu_state;
struct vmx_cpu;

void vmx_syscalls_read_host(struct vmx_cpu *cpu);
void vmx_syscalls_load(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state);
void vmx_syscalls_save(const struct vmx_cpu *cpu, struct mayfly_vcpu_state *state);
void vmx_syscalls_write_efer(const struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state);
bool vmx_syscalls_have_msr(u32 msr);
void vmx_syscalls_open(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state);

#endif
