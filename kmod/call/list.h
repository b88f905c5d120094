/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list.h - the LIST calls.
 */
#ifndef MAYFLY_LIST_H
#define MAYFLY_LIST_H

long list_vms(void __user *user);
long list_images(void __user *user);
long list_demands(void __user *user);

#endif
