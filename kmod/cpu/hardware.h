/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hardware.h - who has the CPUs' virtualization hardware, and when.
 */
#ifndef MAYFLY_HARDWARE_H
#define MAYFLY_HARDWARE_H

int __must_check hardware_get(void);
void hardware_put(void);
int hardware_setup(void);
void hardware_teardown(void);

#endif
