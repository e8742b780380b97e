/* SPDX-License-Identifier: GPL-2.0-only */
/* The TC hooks: a stub a hook that says which one it is, and the program behind all of them. */
#pragma once

#include "bpf/emit.bpf.h"
#include "bpf/sample.bpf.h"
#include "bpf/self.bpf.h"

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

/* Policy, dedupe and flow: OBSERVED with *ret_position, or why not. */
static __always_inline enum verdict observe_flow(struct __sk_buff *skb, struct packet *packet,
                                                 struct flow_position *ret_position, bool *ret_table_full)
{
	struct flow_lookup lookup = {};
	__u64 now = clock_now(skb);

	flow_find(packet, now, &lookup);
	if (packet_opens_connection(packet) && lookup.flow &&
	    (flow_has_ended(lookup.flow) || self_matches(skb, packet))) {
		/* The tuple is taken over by a new connection: this generation gets no packet any more. */
		lookup.flow->closed_ns = now;
		__builtin_memset(&lookup, 0, sizeof(lookup));
		flow_find(packet, now, &lookup);
	}
	if (lookup.flow)
		return flow_count(skb, packet, now, lookup.flow, ret_position);

	if (self_matches(skb, packet))
		return VERDICT_SELF;

	long r = -1;
	if (lookup.free_twin < 2) {
		r = flow_insert(skb, packet, now, &lookup, ret_position);
		if (r == -EEXIST) {
			struct flow *flow = bpf_map_lookup_elem(&flows, &packet->key);
			if (flow)
				return flow_count(skb, packet, now, flow, ret_position);
		}
	}
	if (r == 0)
		return VERDICT_OBSERVED;
	*ret_table_full = true;
	return emit_flow(skb, packet);
}

/* Counts the one verdict of a packet, and its size where it was observed. */
static __always_inline void verdict_count(const struct packet *packet, __u32 counted, enum verdict verdict,
                                          bool table_full)
{
	struct hook_stats *stats = account_hook(packet->stats);
	if (!stats || (__u32)verdict >= VERDICT_MAX)
		return;

	/* What the entry could not count, the parser did. */
	if (!counted)
		stats->seen += packet->packets;
	stats->verdicts[verdict] += packet->packets;
	if (verdict != VERDICT_OBSERVED)
		return;
	stats->bytes_observed += packet->bytes;
	if (table_full) {
		stats->table_full_packets += packet->packets;
		stats->table_full_bytes += packet->bytes;
	}
}

SEC("tc")
int sonde_main(struct __sk_buff *skb)
{
	__u32 counted = skb->cb[CB_PACKETS];
	struct packet packet = {
		.key.domain = LINK_WORD_DOMAIN(skb->cb[CB_LINK]),
		.hook = skb->cb[CB_HOOK],
		.stats = skb->cb[CB_STATS],
		.link_type = LINK_WORD_TYPE(skb->cb[CB_LINK]),
	};
	struct flow_position position = {};
	struct sample_choice sample;
	bool table_full = false;

	enum verdict verdict = parse(skb, counted, &packet);
	if (verdict == VERDICT_OBSERVED)
		verdict = observe_flow(skb, &packet, &position, &table_full);
	verdict_count(&packet, counted, verdict, table_full);
	if (verdict == VERDICT_OBSERVED && !table_full && sample_choose(skb, &packet, &position, &sample))
		emit_packet(skb, &packet, &position, &sample);
	return TC_ACT_UNSPEC;
}

/* A packet that does not match the expression, and that the entry could not count. */
SEC("tc")
int sonde_filtered(struct __sk_buff *skb)
{
	struct packet packet = {
		.stats = skb->cb[CB_STATS],
		.link_type = LINK_WORD_TYPE(skb->cb[CB_LINK]),
	};

	parse(skb, 0, &packet);
	verdict_count(&packet, 0, VERDICT_FILTERED, false);
	return TC_ACT_UNSPEC;
}
