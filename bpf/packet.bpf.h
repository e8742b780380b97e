/* SPDX-License-Identifier: GPL-2.0-only */
/* A packet as the stages know it, and how its bytes are reached. */
#pragma once

#include "bpf/config.bpf.h"
#include "bpf/event.h"

/*
 * Functions marked so are verified on their own, once, instead of along every path that leads to them: without that the
 * paths multiply beyond what the verifier accepts. They take and return scalars only, as 5.10 wants it.
 */
#define __verified_alone __attribute__((noinline))

/* A packet on its way through the stages. Filled by parse(), untouched later. */
struct packet {
	struct flow_key key;
	__u64 bytes;        /* of all wire packets, from the IP header on */
	__u32 packets;      /* wire packets: the segments of a GSO super-packet */
	__u32 hook;         /* hook_number() */
	__u32 stats;        /* index into iface_stats */
	__u32 payload;      /* where in the frame that begins which the transport header announces; 0: no such header */
	__u32 payload_size; /* bytes from there to the end of the IP packet */
	__u16 outer;        /* where in the frame a tunnel's IP header is, the innermost one's; 0: no tunnel */
	__u8 sender;        /* which end of key sent it */
	__u8 tcp_flags;     /* 0: not TCP */
	__u8 link_type;     /* enum link_type */
	__u8 fragment;      /* 1: a later fragment */
};

/* Where parse() stands in a frame. */
struct cursor {
	__u32 offset;    /* of the next header, from the start of the frame */
	__u32 network;   /* of the IP header */
	__u32 end;       /* where the IP packet ends, by its own checked length */
	__u8 protocol;   /* of the header at offset */
	__u8 fragmented; /* first fragment or a later one */
};

/* The frame's length on the wire. Of a replayed frame the skb may hold only the beginning, or padding behind the end. */
static __always_inline __u32 packet_length(struct __sk_buff *skb)
{
	return sensor.replay ? skb->cb[CB_LENGTH] : skb->len;
}

/*
 * SIZE bytes at OFFSET: in place where they are linear, else copied into SPACE (senders that use AF_PACKET's ring, and
 * super-packets, have headers or payload in fragments); NULL: the frame ends before.
 */
static __always_inline const void *frame_at(struct __sk_buff *skb, __u32 offset, __u32 size, void *space)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	if (offset < 0x4000 && data + offset + size <= end)
		return data + offset;
	return bpf_skb_load_bytes(skb, offset, space, size) ? NULL : space;
}
