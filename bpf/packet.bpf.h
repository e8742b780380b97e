/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
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
	__u32 offset;     /* of the next header, from the start of the frame */
	__u32 network;    /* of the IP header */
	__u32 end;        /* where the IP packet ends, by its own checked length; before that is known, its room */
	__u32 transport;  /* size of the transport header; 0: none, or not looked into */
	__be32 id;        /* fragments: IPv4's or IPv6's identification, in network order */
	__u8 protocol;    /* of the header at offset */
	__u8 ip_protocol; /* IPv4: of the header behind the IP header; IPv6: 0 */
	__u8 fragmented;  /* first fragment or a later one */
	__u8 same;        /* source and destination address are the same: ports decide on the key's order */
	__u8 tunnel;      /* what is at offset may be a tunnel's header */
};

/*
 * The packet at hand, one a CPU: programs on one CPU do not interrupt each other. In a map rather than on the stack, since
 * functions that are verified alone take no pointers to the stack, and since the verifier follows what is on the stack value
 * by value, through every path of the parser.
 */
struct scratch {
	struct packet packet;
	struct cursor cursor;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_find(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratches, &zero);
}

/* The frame's length on the wire. Of a replayed frame the skb may hold only the beginning, or padding behind the end. */
static __always_inline __u32 packet_length(struct __sk_buff *skb)
{
	__u32 length = skb->len;

	/* Two loads, not one from a computed place: the verifier wants the context's fields at constant offsets. */
	barrier_var(length);
	return sensor.replay ? skb->cb[CB_LENGTH] : length;
}

/*
 * SIZE bytes at OFFSET: in place where they are linear, else copied into SPACE (senders that use AF_PACKET's ring, and
 * super-packets, have headers or payload in fragments); NULL: the frame ends before.
 */
static __always_inline const void *frame_at(struct __sk_buff *skb, __u32 offset, __u32 size, void *space)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	const void *found;

	if (offset < 0x4000 && data + offset + size <= end)
		found = data + offset;
	else
		found = bpf_skb_load_bytes(skb, offset, space, size) ? NULL : space;
	/* Else clang joins checks for NULL with others by arithmetic that the verifier forbids on pointers. */
	barrier_var(found);
	return found;
}

/* ADDRESS as flow keys have it, ::ffff:a.b.c.d, to TO, which is 4-byte aligned. */
static __always_inline void address_map_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;
	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}
