/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * l1d.h - nothing of others in the first-level cache that guests run on.
 */
#ifndef MAYFLY_VMX_L1D_H
#define MAYFLY_VMX_L1D_H

int vmx_l1d_setup(void);
void vmx_l1d_teardown(void);
void vmx_l1d_flush(void);

#endif
