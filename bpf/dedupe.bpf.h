/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dedupe: a packet that crosses pod veth, bridge and NIC passes three hooks and is counted by one, the earliest on its
 * direction's path. The first packet of a direction reaches that hook first, which so becomes the direction's owner.
 */
#pragma once

#include "bpf/flow.h"

/*
 * A direction whose owner has been silent for so long, while another hook sees its packets, has moved. Longer than a
 * packet takes from hook to hook (queues sit behind the egress hook), and than the clock's tick.
 */
#define DEDUPE_TAKEOVER_NS (100ULL * 1000000)

/* True: HOOK owns the direction, from now on if it did not before. */
static __always_inline bool dedupe_owns(struct flow_end *end, __u32 hook, __u64 now)
{
	if (end->hook == hook)
		return true;
	if (end->hook && now < end->last_ns + DEDUPE_TAKEOVER_NS)
		return false;
	end->hook = hook;
	return true;
}
