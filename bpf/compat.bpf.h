/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Kernel and UAPI constants that are macros, and so not in vmlinux.h's BTF. */
#pragma once

#define TC_ACT_UNSPEC (-1)

#define ETH_P_IP     0x0800
#define ETH_P_TEB    0x6558
#define ETH_P_IPV6   0x86dd
#define ETH_P_8021Q  0x8100
#define ETH_P_8021AD 0x88a8

#define IPPROTO_HOPOPTS  0
#define IPPROTO_ROUTING  43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6   58
#define IPPROTO_DSTOPTS  60
#define IPPROTO_MH       135
#define IPPROTO_HIP      139
#define IPPROTO_SHIM6    140

#define AF_INET  2
#define AF_INET6 10

#define EEXIST 17

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
