/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * verdict.h - what is to become of a guest.
 */
#ifndef MAYFLY_VERDICT_H
#define MAYFLY_VERDICT_H

#include <linux/errno.h>

#include "vm/life.h"
#include "vm/vm.h"

static inline enum verdict end_guest(struct vm *vm, u32 reason, u64 address, u64 detail)
{
	vm->end = (struct vm_end_info){
		.reason = reason, .address = address, .detail = detail,
	};
	return VERDICT_END;
}

/*
 * After vm->fault, which was the guest's or a device's of its. @ret is 0 or as of
 * memory_fault() and memory_touch(); without memory it is repeated when there is some.
 */
static inline enum verdict judge_fault(struct vm *vm, int ret, u64 detail)
{
	switch (ret) {
	case 0:
		return vm_account(vm) ? end_guest(vm, MAYFLY_END_LIMIT, 0, 0) :
				       VERDICT_ENTER;
	case -ENOMEM:
		return VERDICT_FAULT;
	case -EHWPOISON:
		return end_guest(vm, MAYFLY_END_BROKEN_MEMORY, 0, 0);
	default:
		return end_guest(vm, MAYFLY_END_BAD_ACCESS, vm->fault.gpa, detail);
	}
}

#endif
