/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Parse, second part: IPv4 and IPv6 headers, and what stands between them and the transport header. */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/packet.bpf.h"

#define IPV6_EXTENSIONS_MAX 8

/*
 * A key is written in whole words of 64 bits, as it is compared and hashed later: a load that spans several younger stores
 * has to wait until all of them have left the processor's store buffer, some 4 ns a word.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words of a key are put together as on x86 and arm64");

static __always_inline void key_set_ipv4(struct flow_key *key, __be32 low, __be32 high)
{
	__u64 *words = (__u64 *)key;

	words[0] = 0;
	words[1] = 0xffff0000 | (__u64)low << 32;
	words[2] = 0;
	words[3] = 0xffff0000 | (__u64)high << 32;
	key->ip_version = 4;
}

/* Ports of the lower and the higher end, protocol, IP version; no twin, no segment. */
static __always_inline void key_set_transport(struct flow_key *key, __be16 low, __be16 high, __u8 protocol,
                                              __u8 version)
{
	((__u64 *)key)[4] = low | (__u64)high << 16 | (__u64)protocol << 32 | (__u64)version << 40;
}

/*
 * The key's addresses, from the lower to the higher one. Returns which is the source's: 1, the higher one, -1, the lower
 * one, 0, they are the same. In a frame, IP is 2-byte aligned only; the processors that we run on do not mind.
 */
static __always_inline int key_set_ipv6(struct flow_key *key, const struct ipv6hdr *ip)
{
	__u64 from[4], to[4]; /* source and destination; low and high */

	__builtin_memcpy(from, __builtin_assume_aligned(&ip->saddr, 8), sizeof(from));
	__u64 source = bpf_be64_to_cpu(from[0]), destination = bpf_be64_to_cpu(from[2]);
	if (source == destination) {
		source = bpf_be64_to_cpu(from[1]);
		destination = bpf_be64_to_cpu(from[3]);
	}
	bool reversed = source > destination;
	to[0] = reversed ? from[2] : from[0];
	to[1] = reversed ? from[3] : from[1];
	to[2] = reversed ? from[0] : from[2];
	to[3] = reversed ? from[1] : from[3];
	__builtin_memcpy(key->addr, to, sizeof(to));
	key->ip_version = 6;
	return reversed ? 1 : source == destination ? 0 : -1;
}

/*
 * Sets the end of the IP packet from the LENGTH it claims (header included; CLAIMED false: the field is zero, as in BIG
 * TCP super-packets, and all the room there is counts).
 */
static __always_inline enum verdict parse_length(struct __sk_buff *skb, struct cursor *cursor, __u32 header,
                                                 __u32 length, bool claimed)
{
	if (!claimed)
		return skb->gso_size && cursor->network + header <= cursor->end ? VERDICT_OBSERVED : VERDICT_MALFORMED;
	if (length < header || cursor->network + length > cursor->end)
		return VERDICT_MALFORMED;
	cursor->end = cursor->network + length;
	return VERDICT_OBSERVED;
}

/* TCP and UDP first: they are nearly everything. IPv4 knows the authentication header only. */
static __always_inline bool is_extension(__u32 version, __u8 protocol)
{
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		return false;
	if (protocol == IPPROTO_AH)
		return true;
	return version == 6 && (protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	                        protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_MH ||
	                        protocol == IPPROTO_HIP || protocol == IPPROTO_SHIM6);
}

/* What the walk over extension headers found, in 64 bits. */
#define WALK_CUT_SHORT      0
#define WALK_TOO_LONG       1
#define WALK_PROTOCOL(walk) ((__u8)(walk))
#define WALK_FRAGMENTED     (1ULL << 8) /* a first or later fragment */
#define WALK_LATER          (1ULL << 9) /* a later fragment: no transport header */
#define WALK_OFFSET(walk)   ((__u16)((walk) >> 16))
#define WALK_ID(walk)       ((__be32)((walk) >> 32)) /* of a fragment */

/*
 * Walks the extension headers of IP VERSION (RFC 8200, RFC 4302, RFC 7045), the first one of type PROTOCOL at OFFSET, up to
 * a transport header, to a later fragment's payload, to ESP, or to "no next header".
 */
__verified_alone __u64 parse_extensions(struct __sk_buff *skb, __u32 offset, __u32 protocol, __u32 version)
{
	__u64 flags = 0;
	__be32 id = 0;

	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		__u8 header[8];
		if (!is_extension(version, protocol) || flags & WALK_LATER)
			break;
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return WALK_CUT_SHORT;
		if (protocol == IPPROTO_FRAGMENT) {
			__u16 fragment = (__u16)header[2] << 8 | header[3];
			/* Offset 0 and no more to come: an "atomic" fragment is a whole packet (RFC 6946). */
			if (fragment & 0xfff9)
				flags |= WALK_FRAGMENTED;
			if (fragment & 0xfff8)
				flags |= WALK_LATER;
			__builtin_memcpy(&id, header + 4, sizeof(id));
			offset += 8;
		} else if (protocol == IPPROTO_AH) {
			offset += ((__u32)header[1] + 2) * 4;
		} else {
			offset += ((__u32)header[1] + 1) * 8;
		}
		protocol = header[0];
	}
	if ((is_extension(version, protocol) && !(flags & WALK_LATER)) || offset > 0xffff)
		return WALK_TOO_LONG;
	return (__u64)id << 32 | (__u64)offset << 16 | flags | (protocol & 0xff);
}

static __always_inline enum verdict parse_behind(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	__u64 walk = parse_extensions(skb, cursor->offset, cursor->protocol, packet->key.ip_version);

	if (walk == WALK_TOO_LONG)
		return VERDICT_UNSUPPORTED;
	if (walk == WALK_CUT_SHORT || WALK_OFFSET(walk) > cursor->end)
		return VERDICT_MALFORMED;
	cursor->protocol = WALK_PROTOCOL(walk);
	cursor->offset = WALK_OFFSET(walk);
	if (walk & WALK_FRAGMENTED) {
		cursor->fragmented = 1;
		cursor->id = WALK_ID(walk);
		packet->fragment = (walk & WALK_LATER) != 0;
	}
	return VERDICT_OBSERVED;
}

/* RFC 791. */
static __always_inline enum verdict parse_ipv4(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	struct iphdr space;
	const struct iphdr *ip = frame_at(skb, cursor->offset, sizeof(*ip), &space);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return VERDICT_MALFORMED;

	__be32 low = ip->saddr, high = ip->daddr;
	if (low == high) {
		cursor->same = 1;
	} else if (bpf_ntohl(low) > bpf_ntohl(high)) {
		low = ip->daddr;
		high = ip->saddr;
		packet->sender = 1;
	}
	key_set_ipv4(&packet->key, low, high);

	__u32 header = ip->ihl * 4;
	__u16 length = bpf_ntohs(ip->tot_len);
	cursor->protocol = ip->protocol;
	cursor->network = cursor->offset;
	cursor->offset += header;
	if (ip->frag_off & bpf_htons(0x3fff)) {
		cursor->fragmented = 1;
		cursor->ip_protocol = ip->protocol;
		cursor->id = ip->id;
		packet->fragment = (ip->frag_off & bpf_htons(0x1fff)) != 0;
	}
	enum verdict verdict = parse_length(skb, cursor, header, length, length != 0);
	if (verdict != VERDICT_OBSERVED || !is_extension(4, cursor->protocol) || packet->fragment)
		return verdict;
	return parse_behind(skb, cursor, packet);
}

/* RFC 8200. */
static __always_inline enum verdict parse_ipv6(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	struct ipv6hdr space __attribute__((aligned(8)));
	const struct ipv6hdr *ip = frame_at(skb, cursor->offset, sizeof(*ip), &space);
	if (!ip || ip->version != 6)
		return VERDICT_MALFORMED;

	int order = key_set_ipv6(&packet->key, ip);
	cursor->same = !order;
	packet->sender = order > 0;

	__u16 length = bpf_ntohs(ip->payload_len);
	cursor->protocol = ip->nexthdr;
	cursor->network = cursor->offset;
	cursor->offset += sizeof(*ip);

	/* Zero is a packet without payload, unless it stands for more than fits into the field. */
	bool claimed = length != 0 || !skb->gso_size;
	enum verdict verdict = parse_length(skb, cursor, sizeof(*ip), sizeof(*ip) + length, claimed);
	if (verdict != VERDICT_OBSERVED || !is_extension(6, cursor->protocol))
		return verdict;
	return parse_behind(skb, cursor, packet);
}
