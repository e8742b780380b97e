/* SPDX-License-Identifier: GPL-2.0-only */
/* The TC hooks: a stub a hook that says which one it is, and the program behind all of them. */
#pragma once

#include "bpf/details.bpf.h"
#include "bpf/emit.bpf.h"
#include "bpf/sample.bpf.h"
#include "bpf/self.bpf.h"
#include "bpf/slot.bpf.h"

/* What runs for each link type, and what that calls (enum program_slot): swapping a program is one slot update. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PROGRAM_MAX);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} filters SEC(".maps");

/*
 * The entry stub, attached. The loader replaces the ENTRY_* immediates. A tail call that misses falls through to the
 * last lines: the packet goes on, and the books show it.
 */
SEC("tc")
int sonde_entry(struct __sk_buff *skb)
{
	struct hook_stats *stats = account_hook(ENTRY_STATS);
	if (!stats)
		return TC_ACT_UNSPEC;

	__u32 packets = skb->gso_segs;
	if (!packets && !skb->gso_size)
		packets = 1;
	stats->seen += packets;
	skb->cb[CB_HOOK] = ENTRY_HOOK;
	skb->cb[CB_STATS] = ENTRY_STATS;
	skb->cb[CB_LINK] = ENTRY_LINK;
	skb->cb[CB_PACKETS] = packets;
	bpf_tail_call(skb, &filters, ENTRY_LINK_TYPE);

	if (!packets)
		stats->seen += 1;
	stats->verdicts[VERDICT_ERROR] += packets ? packets : 1;
	return TC_ACT_UNSPEC;
}

/* Policy, dedupe and flow, in the table: OBSERVED with *ret_position, or why not. */
static __always_inline enum verdict observe_table(struct __sk_buff *skb, struct packet *packet, __u64 now,
                                                  struct flow_slot *slot, struct flow_position *ret_position,
                                                  bool *ret_table_full)
{
	struct flow_lookup lookup = {};

	flow_find(packet, now, &lookup);
	if (packet_opens_connection(packet) && lookup.flow &&
	    (flow_has_ended(lookup.flow) || self_matches(skb, packet))) {
		/* The tuple is taken over by a new connection: this generation gets no packet any more. */
		lookup.flow->closed_ns = now;
		slot_end_lease(slot, lookup.flow);
		__builtin_memset(&lookup, 0, sizeof(lookup));
		flow_find(packet, now, &lookup);
	}
	if (lookup.flow) {
		enum verdict verdict = flow_count(skb, packet, now, lookup.flow, ret_position);
		slot_renew(packet, now, lookup.flow, slot);
		return verdict;
	}

	if (self_matches(skb, packet))
		return VERDICT_SELF;
	if (!dedupe_may_own(packet->hook))
		return VERDICT_DUPLICATE;

	long r = -1;
	ret_position->policy = policy_of_packet(skb);
	if (lookup.free_twin < 2) {
		r = flow_insert(skb, packet, now, &lookup, ret_position);
		if (r == -EEXIST) {
			struct flow *flow = bpf_map_lookup_elem(&flows, &packet->key);
			if (flow)
				return flow_count(skb, packet, now, flow, ret_position);
		}
	}
	if (ret_position->policy == POLICY_DENIED)
		return VERDICT_NAMESPACE;
	if (r == 0)
		return VERDICT_OBSERVED;
	*ret_table_full = true;
	return emit_flow(skb, packet);
}

/* The same, where this CPU's slot knows the flow without the table; *ret_slot then, NULL otherwise. */
static __always_inline enum verdict observe(struct __sk_buff *skb, struct packet *packet,
                                            struct flow_position *ret_position, struct flow_slot **ret_slot,
                                            bool *ret_table_full)
{
	struct flow_slot *slot = slot_find(packet);
	__u64 now = clock_now(skb);
	enum verdict verdict;

	if (!slot)
		return VERDICT_ERROR;
	if (!slot_count(packet, now, slot, &verdict))
		return observe_table(skb, packet, now, slot, ret_position, ret_table_full);
	*ret_slot = slot;
	ret_position->flow_id = slot->id;
	ret_position->bytes_before = sensor.head_bytes;
	return verdict;
}

/* Counts the one verdict of a packet, and its size where it was observed. */
static __always_inline void verdict_count(const struct packet *packet, __u32 counted, enum verdict verdict,
                                          bool table_full)
{
	struct hook_stats *stats = account_hook(packet->stats);
	__u64 index = (__u32)verdict;

	/* Opaque, so that what is checked is what is used: a function verified alone may return anything. */
	barrier_var(index);
	if (!stats || index >= VERDICT_MAX)
		return;

	/* What the entry could not count, the parser did. */
	if (!counted)
		stats->seen += packet->packets;
	stats->verdicts[index] += packet->packets;
	if (verdict != VERDICT_OBSERVED)
		return;
	stats->bytes_observed += packet->bytes;
	if (table_full) {
		stats->table_full_packets += packet->packets;
		stats->table_full_bytes += packet->bytes;
	}
}

/* This CPU's packet, with what the entry stub said of it; NULL never is. */
static __always_inline struct packet *packet_begin(struct __sk_buff *skb)
{
	struct scratch *scratch = scratch_find();
	if (!scratch)
		return NULL;
	scratch->packet = (struct packet) {
		.key.domain = LINK_WORD_DOMAIN(skb->cb[CB_LINK]),
		.hook = skb->cb[CB_HOOK],
		.stats = skb->cb[CB_STATS],
		.link_type = LINK_WORD_TYPE(skb->cb[CB_LINK]),
	};
	return &scratch->packet;
}

SEC("tc")
int sonde_main(struct __sk_buff *skb)
{
	__u32 counted = skb->cb[CB_PACKETS];
	struct packet *packet = packet_begin(skb);
	struct flow_position position = {};
	struct flow_slot *slot = NULL;
	struct sample_choice sample;
	bool table_full = false;

	if (!packet)
		return TC_ACT_UNSPEC;
	enum verdict verdict = parse(skb, counted, packet);
	if (verdict == VERDICT_OBSERVED)
		verdict = observe(skb, packet, &position, &slot, &table_full);
	verdict_count(packet, counted, verdict, table_full);
	if (verdict != VERDICT_OBSERVED || table_full)
		return TC_ACT_UNSPEC;
	if (sample_choose(skb, packet, &position, &sample)) {
		if (slot)
			slot_recall(slot, packet, &position);
		emit_packet(skb, packet, &position, &sample);
	}
	if (!position.young)
		return TC_ACT_UNSPEC;
	details_note(skb, packet, position.flow_id);
	if (sensor.conntrack) {
		details_ask(packet, position.flow_id);
		bpf_tail_call(skb, &filters, PROGRAM_CONNTRACK);
	}
	return TC_ACT_UNSPEC;
}

/* A packet that does not match the expression, and that the entry could not count. */
SEC("tc")
int sonde_filtered(struct __sk_buff *skb)
{
	struct packet *packet = packet_begin(skb);
	if (!packet)
		return TC_ACT_UNSPEC;
	parse(skb, 0, packet);
	verdict_count(packet, 0, VERDICT_FILTERED, false);
	return TC_ACT_UNSPEC;
}
