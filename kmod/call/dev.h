/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dev.h - /dev/mayfly.
 */
#ifndef MAYFLY_DEV_H
#define MAYFLY_DEV_H

int dev_setup(void);
void dev_teardown(void);

#endif
