/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What lwIP asks us. In net/numbers.cpp.
 */
#pragma once

#include "lwip/ip_addr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a connection begins to count, which nobody else may guess. RFC 6528 */
u32_t net_initial_sequence(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

#ifdef __cplusplus
}
#endif
