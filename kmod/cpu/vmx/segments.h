/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * segments.h - segment registers between the neutral state and the VMCS.
 */
#ifndef MAYFLY_VMX_SEGMENTS_H
#define MAYFLY_VMX_SEGMENTS_H

struct mayfly_vcpu_state;

void vmx_load_segments(const struct mayfly_vcpu_state *state);
void vmx_save_segments(struct mayfly_vcpu_state *state);

#endif
