/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs are configured with: constants that the loader sets before load. A live change loads the programs
 * anew, with the same maps, and swaps the slots of `filters`: atomic for each packet.
 */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct sensor_config {
	__u64 idle_timeout_ns; /* flows.idle_timeout */
	__u64 id_salt;         /* random: makes flow ids differ from those before a reboot */
	__u32 head_bytes;      /* sample a direction's packets until it has sent so many bytes; 0: sample nothing */
	__u32 snaplen;         /* bytes of a sampled frame that are captured */
	__u32 wake_bytes;      /* wake the reader when the ring's fill crosses this */
	__u8 coarse_clock;     /* bpf_ktime_get_coarse_ns is there (5.11) */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct sensor_config) == 32, "sensor_config layout");

#define SNAPLEN_MAX 9216

/*
 * skb->cb, from the entry stub to the main program. The stub is loaded once per hook with these immediates replaced by
 * the hook's own; everything else in it is shared.
 */
enum entry_cb {
	CB_IFACE_ID,
	CB_STATS,     /* index into iface_stats */
	CB_LINK_TYPE, /* enum link_type */
	CB_PACKETS,   /* wire packets this skb stands for, as far as the entry could tell; 0: it could not */
};

#define ENTRY_IFACE_ID  0x50de0001
#define ENTRY_STATS     0x50de0002
#define ENTRY_LINK_TYPE 0x50de0003
