/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pass.h - packets from one guest to another, and to the host.
 */
#ifndef MAYFLY_PASS_H
#define MAYFLY_PASS_H

struct list_head;
struct port;

void pass_on(struct port *port, struct list_head *skbs);

#endif
