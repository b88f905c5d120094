/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What lwIP wants to know about this compiler and machine.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_UNISTD_H 1
#ifndef SSIZE_MAX
#define SSIZE_MAX PTRDIFF_MAX /* there is an ssize_t */
#endif

/* Its own are functions. */
#define lwip_htons(x) ((uint16_t)__builtin_bswap16(x))
#define lwip_ntohs(x) lwip_htons(x)
#define lwip_htonl(x) ((uint32_t)__builtin_bswap32(x))
#define lwip_ntohl(x) lwip_htonl(x)

/* What it would print are strings that every VM had in its image. */
#define LWIP_NOASSERT 1
#define LWIP_PLATFORM_DIAG(x)

#ifdef __cplusplus
extern "C" {
#endif

/* In net/numbers.cpp. */
uint32_t net_random(void);

#ifdef __cplusplus
}
#endif

#define LWIP_RAND() net_random()
