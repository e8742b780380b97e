/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dedupe: a packet that crosses pod veth, bridge and NIC passes three hooks and is counted by one, the earliest on its
 * direction's path. The first packet of a direction reaches that hook first, which so becomes the direction's owner; the
 * rules below say when another hook takes it over. docs/datapath.md has them as a table.
 */
#pragma once

#include "bpf/dedupe.h"
#include "bpf/flow.h"
#include "bpf/iface.h"

/*
 * A direction whose owner has been silent for so long, while another hook sees its packets, has moved. Longer than a
 * packet takes from hook to hook (queues sit behind the egress hook), than the clock's tick, and than SLOT_LEASE_NS: so
 * stale may the time in the table be.
 */
#define DEDUPE_TAKEOVER_NS (200ULL * 1000000)
_Static_assert(DEDUPE_TAKEOVER_NS > 3 * SLOT_LEASE_NS, "an owner's silence must not be its slot's");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dedupe_stats);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} dedupe_stats SEC(".maps");

/*
 * The latest interface that went, of those with the same iface_id % IFACE_SLOTS. Written by the loader. An entry that is
 * overwritten too early costs what a silent owner does: DEDUPE_TAKEOVER_NS.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IFACE_SLOTS);
	__type(key, __u32);
	__type(value, __u32); /* iface_id; 0: none */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} departed SEC(".maps");

/* What is below such a hook is attached and sees the same packets: it never is a direction's owner, not even the first. */
static __always_inline bool dedupe_may_own(__u32 hook)
{
	return hook_place(hook) != PLACE_UPPER;
}

static __always_inline bool dedupe_has_departed(__u32 hook)
{
	__u32 id = hook_iface_id(hook), index = id % IFACE_SLOTS;
	const __u32 *gone = bpf_map_lookup_elem(&departed, &index);
	return gone && *gone == id;
}

/* Both are edges, for the same direction: a packet enters the host, or leaves it, by one of them. */
static __always_inline bool dedupe_rivals(__u32 owner, __u32 hook)
{
	return hook_place(owner) == PLACE_EDGE && hook_place(hook) == PLACE_EDGE &&
	       hook_direction(owner) == hook_direction(hook);
}

/* A packet comes in at HOOK before it goes out at OWNER. */
static __always_inline bool dedupe_precedes(__u32 hook, __u32 owner)
{
	return hook_place(hook) == PLACE_EDGE && hook_direction(hook) == DIRECTION_INGRESS &&
	       hook_direction(owner) == DIRECTION_EGRESS;
}

static __always_inline bool dedupe_same(__u32 owner, __u32 hook)
{
	return hook_iface_id(owner) == hook_iface_id(hook) && hook_direction(owner) == hook_direction(hook);
}

/* True: what HOOK sees are OWNER's packets on their further way, unless the owner has been silent for long. */
static __always_inline bool dedupe_follows(__u32 owner, __u32 hook)
{
	if (!dedupe_may_own(hook))
		return true;
	if (dedupe_same(owner, hook) || dedupe_rivals(owner, hook) || dedupe_precedes(hook, owner))
		return false;
	return !dedupe_has_departed(owner);
}

enum dedupe_claim { CLAIM_NONE, CLAIM_AMBIGUOUS, CLAIM_GOOD };

/* Whether HOOK, which sees a packet of a direction that OWNER owns, is where the direction is to be counted now. */
static __always_inline enum dedupe_claim dedupe_claim(const struct flow_end *end, __u32 owner, __u32 hook, __u64 now)
{
	if (now >= end->last_ns + DEDUPE_TAKEOVER_NS)
		return CLAIM_GOOD;
	if (dedupe_follows(owner, hook))
		return CLAIM_NONE;
	/*
	 * Of two edges the direction has moved to the second one: but for packets that do pass both, as through a proxy pod
	 * that keeps the addresses. Then the first one is back at once, and would be so again with each packet.
	 */
	if (dedupe_rivals(owner, hook) && end->taken_ns && now < end->taken_ns + DEDUPE_TAKEOVER_NS &&
	    !dedupe_has_departed(owner))
		return CLAIM_AMBIGUOUS;
	return CLAIM_GOOD;
}

/*
 * Plain stores: of two CPUs that take a direction over at the same time, at two hooks, the last one stays the owner, and
 * each has counted the one packet it held. Where those are the same packet (it was on its way from hook to hook), it is
 * counted twice: at most one packet a CPU, for a take-over. The fields may then be of different takers, which only
 * matters to who reads former_hook. Totals and books agree in any case: a packet is counted at a hook and in the table,
 * or in neither.
 */
static __always_inline void dedupe_take_over(struct flow_end *end, __u32 hook, __u64 now)
{
	end->former_hook = end->hook;
	end->taken_ns = now;
	end->hook = hook;
}

/* Somebody else owns the direction. True: HOOK does from now on. */
static __always_inline bool dedupe_contend(struct flow_end *end, __u32 hook, __u64 now)
{
	__u32 zero = 0, owner = end->hook;
	struct dedupe_stats *stats = bpf_map_lookup_elem(&dedupe_stats, &zero);
	if (!stats)
		return false;

	switch (dedupe_claim(end, owner, hook, now)) {
	case CLAIM_GOOD:
		stats->takeovers++;
		dedupe_take_over(end, hook, now);
		return true;
	case CLAIM_AMBIGUOUS:
		stats->ambiguous++;
		/* As long as both hooks see packets it stays as it is; when the owner falls silent, that decides. */
		if (end->taken_ns != now)
			end->taken_ns = now;
		return false;
	default:
		return false;
	}
}

/* True: HOOK owns the direction, from now on if it did not before. */
static __always_inline bool dedupe_owns(struct flow_end *end, __u32 hook, __u64 now)
{
	__u32 owner = end->hook;

	if (owner == hook)
		return true;
	if (!dedupe_may_own(hook))
		return false;
	/* Nobody's yet; or the same interface and direction, whose place has changed. */
	if (!owner || dedupe_same(owner, hook)) {
		end->hook = hook;
		return true;
	}
	return dedupe_contend(end, hook, now);
}
