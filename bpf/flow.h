/* SPDX-License-Identifier: GPL-2.0-only */
/* The flow table's layout: key and value of map `flows`, and the watermark of map `reported`. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/*
 * A bidirectional 5-tuple. End 0 is the one with the lower (address, port) in memory order, so that both directions give
 * the same key. ICMP and ICMPv6: the ports are message types or codes as the Community ID specification v1 maps them.
 */
struct flow_key {
	__u8 addr[2][16]; /* network order; IPv4 as ::ffff:a.b.c.d */
	__be16 port[2];   /* 0: no ports in this protocol, or a later fragment */
	__u8 protocol;    /* IANA protocol number of the transport header */
	__u8 ip_version;  /* 4 or 6 */
	__u8 twin;     /* 0, or 1 for the generation opened while the former is still waiting to be read and removed */
	__u8 reserved; /* 0 */
};
_Static_assert(sizeof(struct flow_key) == 40, "flow_key layout");

/* What one end sent. All totals are cumulative and never reset. */
struct flow_end {
	__u64 packets;   /* wire packets */
	__u64 bytes;     /* from the IP header on */
	__u64 last_ns;   /* CLOCK_MONOTONIC of the latest packet; 0: none yet */
	__u64 cgroup_id; /* of the sending socket (cgroup v2 inode); 0: no hook saw it */
	__u32 hook;      /* iface_id * DIRECTION_MAX + direction of the hook that owns this direction; 0: none yet */
	__u8 tcp_flags;  /* all seen, or-ed */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct flow_end) == 40, "flow_end layout");

struct flow {
	__u64 id;        /* unique within the life of the pinned maps, and with high probability beyond */
	__u64 start_ns;  /* CLOCK_MONOTONIC */
	__u64 closed_ns; /* CLOCK_MONOTONIC when a new connection took over the tuple; 0: not closed */
	struct flow_end end[2];
	__u32 generation; /* from 1; a tuple that goes on after its entry ended keeps the id and gets the next one */
	__u8 initiator;   /* the end that began: 0 or 1 */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct flow) == 112, "flow layout");

/*
 * A flow's life. Nobody writes a live entry but the kernel's own packets, and nobody deletes one: when the time since
 * its last packet exceeds the timeout, the entry is over, by a rule that kernel and loader evaluate alike: no packet
 * counts into it any more (the next one opens the twin), and FLOW_GRACE_NS later the loader may read and remove it.
 */
#define FLOW_END_NS   (5ULL * 1000000000) /* timeout after RST, or FIN from both ends */
#define FLOW_GRACE_NS (1ULL * 1000000000) /* longer than any program that still holds the entry can run */

static inline int flow_has_ended(const struct flow *flow)
{
	return ((flow->end[0].tcp_flags | flow->end[1].tcp_flags) & 0x04) != 0 ||
	       ((flow->end[0].tcp_flags & flow->end[1].tcp_flags) & 0x01) != 0;
}

/* CLOCK_MONOTONIC ns of the flow's latest packet. */
static inline __u64 flow_last_ns(const struct flow *flow)
{
	return flow->end[0].last_ns > flow->end[1].last_ns ? flow->end[0].last_ns : flow->end[1].last_ns;
}

/* CLOCK_MONOTONIC ns from when on no packet counts into FLOW any more, as it stands now. */
static inline __u64 flow_over_ns(const struct flow *flow, __u64 idle_timeout_ns)
{
	__u64 timeout = idle_timeout_ns;

	if (flow->closed_ns)
		return flow->closed_ns;
	if (timeout > FLOW_END_NS && flow_has_ended(flow))
		timeout = FLOW_END_NS;
	return flow_last_ns(flow) + timeout;
}

/*
 * How much of a flow has been written into records: value of map `reported`, same key as `flows`. Written by the loader
 * only. A value whose epoch is newer than books_state.epoch was not committed: prev_* count instead.
 */
struct flow_reported {
	__u64 id; /* of the flow: another one under the same key starts from zero */
	__u64 epoch;
	__u64 packets[2], bytes[2];
	__u64 prev_packets[2], prev_bytes[2];
	__u32 generation;
	__u32 reserved;
};
_Static_assert(sizeof(struct flow_reported) == 88, "flow_reported layout");
