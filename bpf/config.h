/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the programs are configured with: constants that the loader sets before load. A live change loads the programs
 * anew, with the same maps, and swaps the slots of `filters`: atomic for each packet.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "bpf/event.h"

struct sensor_config {
	__u64 idle_timeout_ns; /* flows.idle_timeout */
	__u64 id_salt;         /* random: makes flow ids differ from those before a reboot */
	__u32 head_bytes;      /* sample a direction's packets until it has sent so many bytes */
	__u32 snaplen;         /* bytes of a sampled frame that are captured */
	__u32 wake_bytes;      /* wake the reader when the ring's fill crosses a multiple of this, a power of two */
	__u32 one_in;          /* packets.one_in; 0: no sampling by chance */
	__u32 max_rate;        /* packets.max_rate: samples per second and CPU; 0: no bound */
	__u8 coarse_clock;     /* bpf_ktime_get_coarse_ns is there (5.11) */
	__u8 replay;           /* time and length of a packet are the capture's: skb->tstamp and CB_LENGTH */
	__u8 namespaces;       /* there are rules in `namespaces`: flows wait for their pods to be known */
	__u8 conntrack;        /* bpf_skb_ct_lookup is there: translated tuples are recorded */
	__u8 samples;          /* packets.enabled; 0: no packet is sampled, whatever the keys beside it say */
	__u8 sockets;          /* sockets.enabled, and the hooks for it are there: flows learn their sockets' owners */
	__u8 reserved[6];      /* 0 */
};
_Static_assert(sizeof(struct sensor_config) == 48, "sensor_config layout");

#define SNAPLEN_MAX 9216

/*
 * skb->cb, from the entry stub to the main program. The stub is loaded once per hook with these immediates replaced by
 * the hook's own; everything else in it is shared.
 */
enum entry_cb {
	CB_HOOK,    /* hook_number() */
	CB_STATS,   /* index into iface_stats */
	CB_LINK,    /* LINK_WORD() */
	CB_PACKETS, /* wire packets this skb stands for, as far as the entry could tell; 0: it could not */
	CB_LENGTH,  /* a replay only: the frame's length when it was captured */
};

#define ENTRY_HOOK      0x50de0001
#define ENTRY_STATS     0x50de0002
#define ENTRY_LINK_TYPE 0x50de0003
#define ENTRY_LINK      0x50de0004

/* An enum link_type, and the flow_key.domain of the network namespace that the interface is in, in one word. */
#define LINK_WORD(link_type, domain) ((__u32)(domain) << 16 | (link_type))
#define LINK_WORD_TYPE(word)         ((word)&0xffff)
#define LINK_WORD_DOMAIN(word)       ((word) >> 16)

/*
 * Slots of the program array `filters`. An entry stub calls that of its link type: the translated filter (user/filter.h),
 * which calls PROGRAM_MAIN for what matches; without an expression, the main program itself.
 */
enum program_slot {
	PROGRAM_ETHERNET = LINK_ETHERNET,
	PROGRAM_RAW_IP = LINK_RAW_IP,
	PROGRAM_MAIN,
	PROGRAM_FILTERED,  /* counts what the filter rejects and the entry could not count */
	PROGRAM_CONNTRACK, /* what the main program ends with for a new flow: bpf/conntrack.bpf.c; may be empty */
	PROGRAM_MAX,
};
