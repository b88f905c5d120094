/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lwIP as we use it: its core without threads, ARP or Ethernet, interfaces of layer 3.
 */
#pragma once

/* --- how it is called: by one thread, from net/stack.cpp --------------------- */

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0 /* net/ticks.cpp: a VM with idle connections sleeps */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0

/* --- memory: all of it from malloc(), when it is needed ---------------------- */

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define MEM_SIZE 0x40000000 /* only says that sizes have 32 bits */

/* --- what there is ----------------------------------------------------------- */

#define LWIP_ETHERNET 0
#define LWIP_ARP 0
#define LWIP_RAW 0
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_IGMP 0
#define LWIP_DNS 1        /* net/bsd/resolve.cpp; linked where it is called */
#define DNS_MAX_TTL 300   /* s: so long a name is kept at most */
#define IP_FORWARD 0
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 64 /* a datagram of 64 KiB in pieces of 1,500 bytes */
#define IP_FRAG 1
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 64

/* --- IPv6: a host without neighbours, which never routes --------------------- */

#define LWIP_IPV6 1
#define LWIP_IPV6_SCOPES 0 /* no address of ours is a link's own */
#define LWIP_IPV6_NUM_ADDRESSES 1
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_ND6_ALLOW_RA_UPDATES 0
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_NUM_NEIGHBORS 1
#define LWIP_ND6_NUM_DESTINATIONS 1
#define LWIP_ND6_NUM_PREFIXES 1
#define LWIP_ND6_NUM_ROUTERS 1

/* Room for struct mayfly_net_header in front of what is sent (net/driver.cpp). */
#define PBUF_LINK_ENCAPSULATION_HLEN 12
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* The host computes TCP's and UDP's, and says which of those received are right. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* --- TCP --------------------------------------------------------------------- */

#define TCP_MSS 65480 /* of an MTU of 65,520 */
#define TCP_WND 262144
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_SND_BUF 262144
#define TCP_SND_QUEUELEN 256
#define TCP_OVERSIZE 1024 /* TCP_MSS by default: 64 KiB for each small write */
#define TCP_LISTEN_BACKLOG 1
#define TCP_QUEUE_OOSEQ 1
#define LWIP_TCP_SACK_OUT 1
/* They want 4 times TCP_MSS below 64 KiB, for pools that we do not have. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

#define TCP_TMR_INTERVAL 25 /* ms; timeouts are in steps of twice that */

#define LWIP_HOOK_FILENAME "hooks.h"
#define LWIP_HOOK_TCP_ISN net_initial_sequence
#define LWIP_HOOK_IP4_ROUTE_SRC net_route_ip4
#define LWIP_HOOK_IP6_ROUTE net_route_ip6
