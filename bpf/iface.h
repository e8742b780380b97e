/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which interfaces are attached: value of map `ifaces`, key iface_id (__u32). Written by the loader, for the next one. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum iface_hook {
	IFACE_HOOK_TCX,    /* two pinned links, link_<iface_id>_ingress and _egress */
	IFACE_HOOK_CLSACT, /* two cls_bpf filters with handle TC_HANDLE at tc_priority */
};
#define IFACE_HOOK_NAMES        \
	{                       \
		"tcx", "clsact" \
	}

struct iface_info {
	__u64 netns_cookie; /* where domain is not 0: of the network namespace, never given twice; 0: before Linux 5.14 */
	__u32 netns_inode;   /* likewise: its number in /proc/PID/ns/net, which may be given again when it is gone */
	__u32 ifindex;       /* in its network namespace */
	__u32 slot;          /* index into iface_stats, in units of DIRECTION_MAX; 1 .. IFACE_SLOTS - 1 */
	__u32 tc_priority;   /* clsact only */
	__u32 program_id[2]; /* clsact only: of our filter, per direction: a filter with another program is not ours */
	__u16 domain;        /* struct flow_key's; 0: the network namespace that the sensor runs in */
	__u8 hook;           /* enum iface_hook */
	__u8 link_type;      /* enum link_type */
	__u8 owns_qdisc;     /* we made the clsact qdisc */
	__u8 reserved[3];    /* 0 */
	char name[16];
};
_Static_assert(sizeof(struct iface_info) == 56, "iface_info layout");

#define DOMAINS_MAX 65535 /* the largest domain; the smallest one is 1 */

/*
 * A VLAN that this host terminates: key of map `vlans`, value __u8 (nothing). A tag inside another one that is terminated,
 * too, has an entry with that one's id in outer, on the same interface.
 */
struct vlan_key {
	__u32 iface_id; /* where the tagged frames are seen; of a bond's ports, the bond */
	__u16 vid;      /* 1 .. 4095 */
	__u16 outer;    /* 0: the tag is the outermost one */
};
_Static_assert(sizeof(struct vlan_key) == 8, "vlan_key layout");

#define VLANS_MAX 4096
