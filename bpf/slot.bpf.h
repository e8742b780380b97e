/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slot: each CPU counts the packets of busy flows in memory of its own, in front of the table: no walk of a hash bucket,
 * no atomic operation, no cache line shared with another CPU. A slot counts alone for SLOT_LEASE_NS at most; then its
 * CPU folds it into the table, and asks there again.
 */
#pragma once

#include "bpf/flow.bpf.h"

/* Not per-CPU: those cannot be memory-mapped. The loader sets max_entries: SLOTS_PER_CPU for each possible CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow_slot);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} slots SEC(".maps");

/* The one slot where this CPU may keep the packet's flow. The packet's key has no twin yet. */
static __always_inline struct flow_slot *slot_find(const struct packet *packet)
{
	const __u64 *words = (const __u64 *)&packet->key;
	__u64 hash = words[0] ^ words[2] ^ words[5];

	/* Independent products, so that they overlap; the upper half is the well-mixed one. */
	hash += words[1] * 0x9e3779b97f4a7c15ULL;
	hash += words[3] * 0xc2b2ae3d27d4eb4fULL;
	hash ^= words[4] * 0x165667b19e3779f9ULL;
	hash = (hash ^ hash >> 29) * 0x9e3779b97f4a7c15ULL;
	__u32 index = bpf_get_smp_processor_id() * SLOTS_PER_CPU + (hash >> 32) % SLOTS_PER_CPU;
	return bpf_map_lookup_elem(&slots, &index);
}

static __always_inline bool slot_holds(const struct flow_slot *slot, const struct packet *packet)
{
	const __u64 *a = (const __u64 *)&slot->key, *b = (const __u64 *)&packet->key;

	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5])) == 0;
}

/*
 * Counts the packet, or tells that it is a duplicate, without the table: *RET_VERDICT. False: the table has to be asked,
 * since the slot is another flow's, its lease is over, or the packet may change more than totals.
 */
static __always_inline bool slot_count(const struct packet *packet, __u64 now, struct flow_slot *slot,
                                       enum verdict *ret_verdict)
{
	__u32 sender = packet->sender & 1;

	if (now >= slot->lease_ns || !slot_holds(slot, packet))
		return false;
	if (packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST | ~slot->tcp_flags[sender]))
		return false;
	if (!slot->settled[sender])
		return false;
	if (slot->hook[sender] != packet->hook) {
		*ret_verdict = VERDICT_DUPLICATE;
		return dedupe_follows(slot->hook[sender], packet->hook) &&
		       now < slot->last_ns[sender] + DEDUPE_TAKEOVER_NS;
	}
	slot->packets[sender] += packet->packets;
	slot->bytes[sender] += packet->bytes;
	slot->last_ns[sender] = now;
	*ret_verdict = VERDICT_OBSERVED;
	return true;
}

/* Moves what the slot counted into its FLOW, which is live. */
static __always_inline void slot_fold(struct flow_slot *slot, struct flow *flow)
{
	slot->sequence++;
	barrier();
	for (int i = 0; i < 2; i++) {
		if (!slot->packets[i])
			continue;
		__sync_fetch_and_add(&flow->end[i].packets, slot->packets[i]);
		__sync_fetch_and_add(&flow->end[i].bytes, slot->bytes[i]);
		if (flow->end[i].last_ns < slot->last_ns[i])
			flow->end[i].last_ns = slot->last_ns[i];
		slot->packets[i] = 0;
		slot->bytes[i] = 0;
	}
	barrier();
	slot->sequence++;
}

/*
 * Makes room in a slot that another flow used. An entry that is over but still in the table must stay as it is, here and
 * there, until the loader has read and removed it; one that was removed has been read, slot included.
 */
static __always_inline bool slot_vacate(struct flow_slot *slot, __u64 now)
{
	if (now < slot->lease_ns)
		return false;
	if (!slot->packets[0] && !slot->packets[1])
		return true;

	struct flow_key key = slot->key;
	key.twin = slot->twin;
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || flow->id != slot->id || flow->generation != slot->generation)
		return true;
	if (now >= flow_over_ns(flow, sensor.idle_timeout_ns))
		return false;
	slot_fold(slot, flow);
	return true;
}

/* FLOW gets no packet any more; what the slot counted of it stays, and is read with it. */
static __always_inline void slot_end_lease(struct flow_slot *slot, const struct flow *flow)
{
	if (slot->id == flow->id && slot->generation == flow->generation)
		slot->lease_ns = 0;
}

/* What only the table knows of the slot's flow, for a sample. */
static __always_inline void slot_recall(const struct flow_slot *slot, struct packet *packet,
                                        struct flow_position *position)
{
	packet->key.twin = slot->twin;
	const struct flow *flow = bpf_map_lookup_elem(&flows, &packet->key);
	if (!flow || flow->id != slot->id)
		return;
	for (int i = 0; i < 2; i++) {
		position->cgroup_id[i] = flow->end[i].cgroup_id;
		position->cookie[i] = flow->end[i].cookie;
	}
	position->initiator = flow->initiator;
}

/* Nothing more to learn of this end's packets but how many: their head was sampled, their owner asked for. */
static __always_inline bool end_is_settled(const struct flow_end *end)
{
	return end->packets >= FLOW_OWNER_PACKETS && (!sensor.samples || end->bytes >= sensor.head_bytes);
}

/* Behind a packet that was counted into FLOW in the table, or was a duplicate there: the slot takes over for a while. */
static __always_inline void slot_renew(const struct packet *packet, __u64 now, struct flow *flow,
                                       struct flow_slot *slot)
{
	__u32 sender = packet->sender & 1;
	bool same = slot->id == flow->id && slot->generation == flow->generation;

	if (same)
		slot_fold(slot, flow);
	if (flow->policy != POLICY_ALLOWED || flow->closed_ns || flow_has_ended(flow)) {
		if (same)
			slot->lease_ns = 0;
		return;
	}
	if (!same && !end_is_settled(&flow->end[sender]))
		return;
	if (!same) {
		if (!slot_vacate(slot, now))
			return;
		slot->sequence++;
		barrier();
		slot->key = packet->key;
		slot->key.twin = 0;
		slot->twin = packet->key.twin;
		slot->id = flow->id;
		slot->generation = flow->generation;
		for (int i = 0; i < 2; i++) {
			slot->packets[i] = 0;
			slot->bytes[i] = 0;
		}
		barrier();
		slot->sequence++;
	}
	for (int i = 0; i < 2; i++) {
		slot->hook[i] = flow->end[i].hook;
		slot->last_ns[i] = flow->end[i].last_ns;
		slot->tcp_flags[i] = flow->end[i].tcp_flags;
		slot->settled[i] = end_is_settled(&flow->end[i]);
	}
	slot->lease_ns = now + SLOT_LEASE_NS;
}
