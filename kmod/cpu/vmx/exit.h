/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * exit.h - into a guest and out again.
 */
#ifndef MAYFLY_VMX_EXIT_H
#define MAYFLY_VMX_EXIT_H

struct vcpu;
struct vm_exit;

void vmx_run(struct vcpu *vcpu, struct vm_exit *exit);

#endif
