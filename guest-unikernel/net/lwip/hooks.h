/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What lwIP asks us.
 */
#pragma once

#include "lwip/ip_addr.h"

struct netif;

#ifdef __cplusplus
extern "C" {
#endif

/* In net/numbers.cpp: where a connection begins to count, which nobody else may guess. RFC 6528 */
u32_t net_initial_sequence(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

/* In net/stack.cpp: the network of an address of ours, or NULL. Others drop what has it as its source. */
struct netif *net_route_ip4(const ip4_addr_t *source, const ip4_addr_t *to);
struct netif *net_route_ip6(const ip6_addr_t *source, const ip6_addr_t *to);

#ifdef __cplusplus
}
#endif
