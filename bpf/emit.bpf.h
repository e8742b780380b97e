/* SPDX-License-Identifier: GPL-2.0-only */
/* Emit: records into the ring buffer, and as few wake-ups as the reader can live with. */
#pragma once

#include "bpf/account.bpf.h"
#include "bpf/flow.bpf.h"
#include "bpf/rate.bpf.h"
#include "bpf/sample.bpf.h"

/* The loader sets max_entries (ring.bytes). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ring SEC(".maps");

#define RING_HEADER 8 /* the ring's own, before each record; their sizes are multiples of it */

/*
 * A wake-up costs more than all else that is done for a packet: the reader looks by itself every 100 ms, and is woken
 * only by the record that makes the fill cross a multiple of wake_bytes. The first one is what counts; of two CPUs that
 * reserve at once, each may take the crossing for the other's, and then it is the next one. SIZE is reserved already.
 */
static __always_inline __u64 emit_flags(__u32 size)
{
	__u64 fill = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 before = fill - size - RING_HEADER;

	return (fill ^ before) >= sensor.wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void emit_header(struct __sk_buff *skb, struct event_header *header, const struct packet *packet,
                                        __u8 kind, __u16 size)
{
	header->time_ns = sensor.replay ? skb->tstamp : bpf_ktime_get_ns();
	header->iface_id = hook_iface_id(packet->hook);
	header->size = size;
	header->version = EVENT_VERSION;
	header->kind = kind;
}

/*
 * One size class: the ring takes constant sizes only. What the frame does not fill is not cleared: nothing but records
 * was ever there, and the reader stops at header.size.
 */
static __always_inline enum record_fate emit_packet_class(struct __sk_buff *skb, const struct packet *packet,
                                                          const struct flow_position *position,
                                                          const struct sample_choice *sample, __u32 captured,
                                                          const __u32 room)
{
	const __u32 size = sizeof(struct packet_event) + room;
	struct packet_event *event = bpf_ringbuf_reserve(&ring, size, 0);
	if (!event)
		return RECORD_LOST_RING;

	emit_header(skb, &event->header, packet, RECORD_PACKET, sizeof(*event) + captured);
	event->key = packet->key;
	event->key.twin = 0;
	event->flow_id = position->flow_id;
	for (int i = 0; i < 2; i++) {
		event->cgroup_id[i] = position->cgroup_id[i];
		event->cookie[i] = position->cookie[i];
	}
	event->original_length = packet_length(skb);
	event->one_in = sample->one_in;
	event->captured_length = captured;
	event->sender = packet->sender;
	event->direction = hook_direction(packet->hook);
	event->link_type = packet->link_type;
	event->initiator = position->initiator;
	event->reason = sample->reason;
	event->reserved = 0;
	/* The place of the last byte, and opaque: bounded, it tells the verifier that the helper gets 1 to room. */
	__u64 last = captured - 1ULL;
	barrier_var(last);
	if (last >= room || bpf_skb_load_bytes(skb, 0, event->data, last + 1)) {
		event->captured_length = 0;
		event->header.size = sizeof(*event);
	}
	bpf_ringbuf_submit(event, emit_flags(size));
	return RECORD_KEPT;
}

/* A sampled packet, as the rate allows: what of it fits into snaplen, in the smallest class that holds it. */
static __always_inline void emit_packet(struct __sk_buff *skb, const struct packet *packet,
                                        const struct flow_position *position, const struct sample_choice *sample)
{
	__u32 captured = packet_length(skb);
	__u32 there = skb->len;

	/* As in packet_length(). What is there may be less than the packet, and in a replay more, too: padding. */
	barrier_var(there);
	if (captured > there)
		captured = there;
	if (captured > sensor.snaplen)
		captured = sensor.snaplen;
	enum record_fate fate;

	if (!rate_take(skb, packet, position))
		fate = RECORD_LOST_RATE;
	else if (captured <= 96)
		fate = emit_packet_class(skb, packet, position, sample, captured, 96);
	else if (captured <= 256)
		fate = emit_packet_class(skb, packet, position, sample, captured, 256);
	else if (captured <= 1536)
		fate = emit_packet_class(skb, packet, position, sample, captured, 1536);
	else
		fate = emit_packet_class(skb, packet, position, sample, captured < SNAPLEN_MAX ? captured : SNAPLEN_MAX,
		                         SNAPLEN_MAX);
	account_record(RECORD_PACKET, fate);
}

/* A packet that found no room in the flow table. OBSERVED; ERROR: no room in the ring either. */
static __always_inline enum verdict emit_flow(struct __sk_buff *skb, const struct packet *packet)
{
	struct flow_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	account_record(RECORD_FLOW, event ? RECORD_KEPT : RECORD_LOST_RING);
	if (!event)
		return VERDICT_ERROR;

	emit_header(skb, &event->header, packet, RECORD_FLOW, sizeof(*event));
	event->key = packet->key;
	event->key.twin = 0;
	event->packets = packet->packets;
	event->bytes = packet->bytes;
	event->cgroup_id = bpf_skb_cgroup_id(skb);
	event->cookie = bpf_get_socket_cookie(skb);
	event->sender = packet->sender;
	event->direction = hook_direction(packet->hook);
	event->tcp_flags = packet->tcp_flags;
	__builtin_memset(event->reserved, 0, sizeof(event->reserved));
	bpf_ringbuf_submit(event, emit_flags(sizeof(*event)));
	return VERDICT_OBSERVED;
}
