/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Verdicts: what became of a packet at a hook. Each packet that reaches a hook leaves it with exactly one. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum verdict {
	VERDICT_OBSERVED,    /* counted in a flow, or shipped as a table_full record of its own */
	VERDICT_FILTERED,    /* the operator's expression (docs/filter.md) does not match it */
	VERDICT_NAMESPACE,   /* of a pod in a namespace that is not to be observed */
	VERDICT_SELF,        /* the sensor's own connection to its backend */
	VERDICT_DUPLICATE,   /* counted already, at another hook on its way */
	VERDICT_NOT_IP,      /* ARP, LLDP, STP, ... */
	VERDICT_MALFORMED,   /* a header that is cut short, or a length that cannot be */
	VERDICT_UNSUPPORTED, /* IP, but more nested than the parser follows */
	VERDICT_ERROR,       /* the sensor failed: a tail call missed, or neither table nor ring had room */
	VERDICT_MAX,
};

/* The names in metrics and JSON, in the order of the enum. */
#define VERDICT_NAMES                                                                                           \
	{                                                                                                       \
		"observed", "filtered", "namespace", "self", "duplicate", "not_ip", "malformed", "unsupported", \
			"error"                                                                                 \
	}

enum direction {
	DIRECTION_INGRESS, /* tc ingress: network.io.direction "receive" */
	DIRECTION_EGRESS,  /* tc egress: "transmit" */
	DIRECTION_MAX,
};

/*
 * One hook's account, in map `iface_stats` (per CPU), at index slot * DIRECTION_MAX + direction. Slot 0 is nobody's; the
 * accounts of interfaces that are gone are in struct books_state. Unit: packets as a wire tap would count them (a GSO
 * super-packet is the segments it stands for). seen is counted on entry, verdicts on exit: seen = sum of verdicts.
 */
struct hook_stats {
	__u64 seen;
	__u64 verdicts[VERDICT_MAX];
	__u64 bytes_observed;     /* from the IP header on */
	__u64 table_full_packets; /* observed, but shipped as a record since the flow table had no room */
	__u64 table_full_bytes;
};
_Static_assert(sizeof(struct hook_stats) == 104, "hook_stats layout");

#define IFACE_SLOTS 1024 /* interfaces at one time, the nobody of slot 0 included */
