/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * exit.h - into a guest and out again.
 */
#ifndef MAYFLY_SVM_EXIT_H
#define MAYFLY_SVM_EXIT_H

struct vcpu;
struct vm_exit;

void svm_run(struct vcpu *vcpu, struct vm_exit *exit);

#endif
