/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * l1d.h - keep others' data out of the first-level cache while guests run.
 */
#ifndef MAYFLY_VMX_L1D_H
#define MAYFLY_VMX_L1D_H

int vmx_l1d_setup(void);
void vmx_l1d_teardown(void);
void vmx_l1d_flush(void);

#endif
