/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Fragments: only the first one of a packet has ports. It leaves them here, and the later ones go to its flow. Where the
 * first one was not seen before, they are a flow without ports.
 */
#pragma once

#include "bpf/config.bpf.h"
#include "bpf/packet.bpf.h"

#define FRAGMENTS_MAX 4096

/* Identifications come again: after so long (as long as Linux waits for the rest of a packet) it is another packet's. */
#define FRAGMENT_LIFE_NS (30ULL * 1000000000)

/* What fragments of one packet have in common, in one place: RFC 791, RFC 8200. */
struct fragment_key {
	__u8 addr[2][16]; /* as in the flow's key */
	__be32 id;        /* of 16 bits with IPv4 */
	__u32 segment;    /* as in the flow's key, like domain and segment_kind */
	__u16 domain;
	__u8 segment_kind;
	__u8 ip_version;
	__u8 protocol; /* IPv4: as in the IP header; IPv6, where the first fragment's alone counts: 0 */
	__u8 sender;   /* which end of addr sends */
	__u8 reserved[2];
};
_Static_assert(sizeof(struct fragment_key) == 48, "fragment_key layout");

struct fragment {
	__u64 seen_ns;  /* clock_now() of the first fragment */
	__be16 port[2]; /* as its sender has it: source, destination */
	__u8 protocol;  /* of its transport header */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct fragment) == 16, "fragment layout");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTS_MAX);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fragments SEC(".maps");

/*
 * Stores what the key of a first fragment has, ports as source and destination, and gives that to a later one. An
 * identification that comes again too early belongs to the first fragment that came last.
 */
static __always_inline void fragment_follow(struct __sk_buff *skb, const struct cursor *cursor, struct packet *packet)
{
	struct fragment_key key = {
		.id = cursor->id,
		.segment = packet->key.segment,
		.domain = packet->key.domain,
		.segment_kind = packet->key.segment_kind,
		.ip_version = packet->key.ip_version,
		.protocol = cursor->ip_protocol,
		.sender = packet->sender,
	};
	__u64 now = clock_now(skb);

	__builtin_memcpy(key.addr, packet->key.addr, sizeof(key.addr));
	if (!packet->fragment) {
		struct fragment first = {
			.seen_ns = now,
			.port = { packet->key.port[0], packet->key.port[1] },
			.protocol = packet->key.protocol,
		};
		bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
		return;
	}
	const struct fragment *first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || now - first->seen_ns > FRAGMENT_LIFE_NS)
		return;
	packet->key.port[0] = first->port[0];
	packet->key.port[1] = first->port[1];
	packet->key.protocol = first->protocol;
}
