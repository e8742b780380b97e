/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
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
	__be16 port[2];   /* 0: no ports in this protocol, or a later fragment whose first one was not seen */
	__u8 protocol;    /* IANA protocol number of the transport header */
	__u8 ip_version;  /* 4 or 6 */
	__u8 twin; /* 0, or 1 for the generation opened while the former is still waiting to be read and removed */
	__u8 segment_kind; /* enum segment_kind: what sets this tuple apart from the same one elsewhere */
	__u32 segment;     /* host order: VLAN ids as outer << 16 | inner, or the tunnel's id; 0: none */
	__u16 domain;      /* the network namespace it was seen in, as the loader numbers them; 0: the host's */
	__u16 reserved;    /* 0 */
};
_Static_assert(sizeof(struct flow_key) == 48, "flow_key layout");

/*
 * The same addresses and ports may be in use in several networks at once: what tells them apart. Of several layers around
 * a packet the innermost tunnel counts. A VLAN that this host itself terminates (it has a device of its own for it) is
 * part of the host's own network and sets nothing apart: see map `vlans`.
 */
enum segment_kind {
	SEGMENT_NONE,
	SEGMENT_VLAN,   /* 802.1Q or 802.1ad tags */
	SEGMENT_VXLAN,  /* RFC 7348; id: VNI */
	SEGMENT_GENEVE, /* RFC 8926; id: VNI */
	SEGMENT_GRE,    /* RFC 2784, RFC 2890; id: key, 0 without one */
	SEGMENT_IPIP,   /* IP in IP, any versions: RFC 2003, RFC 4213, RFC 2473; id: 0 */
	SEGMENT_KIND_MAX,
};
#define SEGMENT_KIND_NAMES                                   \
	{                                                    \
		"", "vlan", "vxlan", "geneve", "gre", "ipip" \
	}

/*
 * A hook as packets and flows carry it: which interface, what its place on a packet's way is, which direction. Bonded
 * interfaces have their bond's iface_id here: a direction may alternate between them. 0: none.
 */
static inline __u32 hook_number(__u32 iface_id, __u32 place, __u32 direction)
{
	return iface_id << 3 | place << 1 | direction;
}

static inline __u32 hook_iface_id(__u32 hook)
{
	return hook >> 3;
}

/* enum hook_place */
static inline __u32 hook_place(__u32 hook)
{
	return hook >> 1 & 3;
}

/* enum direction */
static inline __u32 hook_direction(__u32 hook)
{
	return hook & 1;
}

enum hook_place {
	PLACE_EDGE, /* packets enter or leave the host here: a NIC, a pod's veth, a tap: at most once a packet and direction */
	PLACE_INNER, /* packets may come by on their way inside the host: a veth whose peer is here, too, an ifb */
	PLACE_UPPER, /* a bridge, a bond, a VLAN device, with a lower device that is attached: never the first */
};

/* What one end sent. All totals are cumulative and never reset. */
struct flow_end {
	__u64 packets;   /* wire packets */
	__u64 bytes;     /* from the IP header on */
	__u64 last_ns;   /* CLOCK_MONOTONIC of the latest packet; 0: none yet */
	__u64 cgroup_id; /* of the sending socket (cgroup v2 inode); 0: no hook saw it */
	__u64 cookie;    /* of this end's socket, the key of its owner in map `sockets`; 0: no hook saw it */
	__u64 taken_ns;  /* CLOCK_MONOTONIC when the owning hook took this direction over from former_hook; 0: never */
	__u32 hook;      /* hook_number() that owns this direction; 0: none yet */
	__u32 former_hook;
	__u8 tcp_flags; /* all seen, or-ed */
	__u8 reserved[7];
};
_Static_assert(sizeof(struct flow_end) == 64, "flow_end layout");

struct flow {
	__u64 id;        /* unique within the life of the pinned maps, and with high probability beyond */
	__u64 start_ns;  /* CLOCK_MONOTONIC */
	__u64 closed_ns; /* CLOCK_MONOTONIC when a new connection took over the tuple; 0: not closed */
	struct flow_end end[2];
	__u32 generation; /* from 1; a tuple that goes on after its entry ended keeps the id and gets the next one */
	__u8 initiator;   /* the end that began: 0 or 1 */
	__u8 policy;      /* enum flow_policy */
	__u8 reserved[2];
};
_Static_assert(sizeof(struct flow) == 160, "flow layout");

/* What the namespaces of a flow's local ends say of it. */
enum flow_policy {
	POLICY_ALLOWED,
	POLICY_PENDING, /* an end's pod is not known yet: totals are kept, nothing is sampled */
	POLICY_DENIED,  /* every known local end is denied: no hook counts it any more */
};

#define POLICY_CGROUPS_MAX 65536 /* cgroups that can have a verdict at one time */

/*
 * A CPU's share of a busy flow that is not in the table yet: value of map `slots`, SLOTS_PER_CPU for each possible CPU,
 * memory-mapped by the loader. The CPU that owns a slot is the only one to write it. Totals of a flow are those in the
 * table plus those in all slots with its id and generation.
 */
struct flow_slot {
	struct flow_key key; /* without its twin */
	__u64 id;            /* of the flow; 0: the slot is free */
	__u64 lease_ns;      /* CLOCK_MONOTONIC until when packets may be counted here without asking the table */
	__u64 last_ns[2];    /* CLOCK_MONOTONIC of each end's latest packet; 0: none */
	__u64 bytes[2];
	__u32 packets[2];
	__u32 hook[2]; /* hook_number() that owns the direction; 0: not known here */
	__u32 generation;
	__u32 sequence; /* odd: being folded into the table. A reader that finds it odd, or changed, reads again */
	__u8 tcp_flags[2];
	__u8 settled[2]; /* 1: of this end's packets, nothing has to be learnt but how many they are */
	__u8 twin;       /* of the key */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct flow_slot) == 128, "flow_slot layout");

#define SLOTS_PER_CPU 2048 /* 256 KiB a CPU: half of a small L2 cache */

/*
 * How long a slot may count alone. Far below every timeout in flow_over_ns() and below FLOW_GRACE_NS: an entry that is
 * over, and has been for the grace, changes neither in the table nor in any slot.
 */
#define SLOT_LEASE_NS (50ULL * 1000000)

/*
 * What is known of some flows beyond their totals: value of map `details`, key the flow's id (__u64). Best effort: the
 * least recently used goes when there are more than DETAILS_MAX.
 */
struct flow_details {
	__u8 outer[2][16]; /* addresses of the tunnel's ends, per end of the key, mapped as there; zero: no tunnel */
	__u8 translated[2][16]; /* the tuple as address translation leaves it, per end of the key; zero: none */
	__be16 translated_port[2];
	__u8 reserved[4];
};
_Static_assert(sizeof(struct flow_details) == 72, "flow_details layout");

#define DETAILS_MAX 16384

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
