/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Who owns a socket and how it fares: the values of maps `socket_owners`, `sockets`, `connections` and `bound`. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "bpf/flow.h"

#define COMM_SIZE 16 /* the kernel's TASK_COMM_LEN */

/*
 * Written where the process runs (socket, connect, send, receive). In socket storage it is inherited by the sockets that a
 * listener accepts; those get a cookie of their own when they are established.
 */
struct socket_owner {
	__u64 cgroup_id;      /* of the process (cgroup v2 inode); 0: not known */
	__u64 netns_cookie;   /* of the socket's network namespace; 0: the kernel cannot tell */
	__u64 since_ns;       /* CLOCK_MONOTONIC when the process was seen with it; 0: it was there before the sensor */
	__u64 cookie;         /* of the socket: unique until reboot, never given twice */
	__u32 tgid;           /* the process, and ... */
	__u32 pid;            /* ... the thread, in the initial pid namespace; 0: not known */
	__u32 uid;            /* in the initial user namespace */
	__u32 reserved;       /* 0 */
	char comm[COMM_SIZE]; /* of the thread */
};
_Static_assert(sizeof(struct socket_owner) == 64, "socket_owner layout");

/* A TCP connection's health, as its own side sees it. Cumulative but for the round-trip times. */
struct socket_health {
	__u64 read_ns;        /* CLOCK_MONOTONIC when it was read; 0: never yet */
	__u64 bytes_acked;    /* payload that the other end has acknowledged */
	__u64 bytes_received; /* payload */
	__u32 srtt_us;        /* smoothed round-trip time; 0: not measured yet */
	__u32 min_rtt_us;     /* the least one of the last five minutes; 0: not measured yet */
	__u32 retransmits;    /* segments sent again */
	__u32 lost;           /* segments taken for lost */
	__u32 delivered;      /* segments acknowledged, those sent again included */
	__u32 reserved;       /* 0 */
};
_Static_assert(sizeof(struct socket_health) == 48, "socket_health layout");

/*
 * Value of map `sockets`, key the cookie (__u64): every socket that a process was seen with, for as long as there is room
 * after it was closed (least recently used), so that the records written later still have its owner.
 */
struct socket_info {
	struct socket_owner owner;
	struct flow_key key; /* TCP: of the connection; no protocol: none (yet) */
	struct socket_health health;
	__u64 opened_ns; /* CLOCK_MONOTONIC of the establishment, before that of the connect's begin; 0: not seen */
	__u64 closed_ns; /* CLOCK_MONOTONIC; 0: open */
	__u8 end;        /* which end of key it is */
	__u8 initiator;  /* which end of key began */
	__u8 state;      /* TCP state (1: established, 2: SYN sent, ...) at the latest change but the one to closed */
	__u8 reserved[5];
};
_Static_assert(sizeof(struct socket_info) == 184, "socket_info layout");

/*
 * Value of map `connections`, key the tuple as the socket has it (struct flow_key of the host's own network: no twin, no
 * segment, domain 0): the sockets of this host at its ends. From establishment to close, for TCP.
 */
struct connection {
	__u64 cookie[2]; /* per end of the key; 0: not on this host, or not known */
};
_Static_assert(sizeof(struct connection) == 16, "connection layout");

/* Key of map `bound`: who receives at a port; value the cookie (__u64) of the socket that bound it last. */
struct bound_key {
	__u64 netns_cookie;
	__be16 port;
	__u8 protocol;    /* IANA */
	__u8 reserved[5]; /* 0 */
};
_Static_assert(sizeof(struct bound_key) == 16, "bound_key layout");

#define BOUND_MAX 16384
