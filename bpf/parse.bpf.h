/* SPDX-License-Identifier: GPL-2.0-only */
/* Parse: from the link header to the flow key. No length in a packet is believed before it is checked. */
#pragma once

#include "bpf/packet.bpf.h"
#include "bpf/parse_transport.bpf.h"

#define VLAN_TAGS_MAX       2 /* 802.1ad: a service tag and a customer tag */
#define IPV6_EXTENSIONS_MAX 8
#define ETHERNET_SIZE       14

/* A 16-byte network-order address, from memory that is only known to be 2-byte aligned. */
static __always_inline void address_copy(__u8 *to, const void *from)
{
	__builtin_memcpy(to, from, 16);
}

static __always_inline void address_map_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;
	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/*
 * Walks the VLAN tags whose first one is at offset ETHERNET_SIZE. Returns the offset behind them << 16 | the EtherType
 * there; 0: cut short. A tag in skb metadata is not in the frame.
 */
__verified_alone __u32 parse_vlan(struct __sk_buff *skb)
{
	__u32 offset = ETHERNET_SIZE;
	__u16 type = 0;

	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		__be16 tag[2];
		if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
			return 0;
		offset += sizeof(tag);
		type = bpf_ntohs(tag[1]);
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
	}
	return offset << 16 | type;
}

/* EtherType behind the Ethernet header and its VLAN tags. */
static __always_inline enum verdict parse_ethernet(struct __sk_buff *skb, struct cursor *cursor, __u16 *ret_type)
{
	__be16 space;
	const __be16 *type = frame_at(skb, ETHERNET_SIZE - 2, 2, &space);
	if (!type)
		return VERDICT_MALFORMED;

	*ret_type = bpf_ntohs(*type);
	cursor->offset = ETHERNET_SIZE;
	if (*ret_type != ETH_P_8021Q && *ret_type != ETH_P_8021AD)
		return VERDICT_OBSERVED;

	__u32 behind = parse_vlan(skb);
	if (!behind)
		return VERDICT_MALFORMED;
	*ret_type = (__u16)behind;
	cursor->offset = behind >> 16;
	return *ret_type == ETH_P_8021Q || *ret_type == ETH_P_8021AD ? VERDICT_UNSUPPORTED : VERDICT_OBSERVED;
}

/* A frame without link header says what it is in its first four bits. */
static __always_inline enum verdict parse_raw_ip(struct __sk_buff *skb, __u16 *ret_type)
{
	__u8 space[1];
	const __u8 *first = frame_at(skb, 0, 1, space);
	if (!first)
		return VERDICT_MALFORMED;
	if (*first >> 4 == 4)
		*ret_type = ETH_P_IP;
	else if (*first >> 4 == 6)
		*ret_type = ETH_P_IPV6;
	else
		return VERDICT_NOT_IP;
	return VERDICT_OBSERVED;
}

/*
 * Sets the end of the IP packet from the LENGTH it claims (header included; CLAIMED false: the field is zero, as in BIG
 * TCP super-packets, and the frame's own length counts).
 */
static __always_inline enum verdict parse_length(struct __sk_buff *skb, struct cursor *cursor, __u32 header,
                                                 __u32 length, bool claimed)
{
	__u32 frame = skb->len;

	if (!claimed) {
		if (!skb->gso_size || frame < cursor->network + header)
			return VERDICT_MALFORMED;
		cursor->end = frame;
		return VERDICT_OBSERVED;
	}
	if (length < header || cursor->network + length > frame)
		return VERDICT_MALFORMED;
	cursor->end = cursor->network + length;
	return VERDICT_OBSERVED;
}

/* RFC 791. */
static __always_inline enum verdict parse_ipv4(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	struct iphdr space;
	const struct iphdr *ip = frame_at(skb, cursor->offset, sizeof(*ip), &space);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return VERDICT_MALFORMED;

	__u32 header = ip->ihl * 4;
	__u16 length = bpf_ntohs(ip->tot_len);
	__u16 fragment = bpf_ntohs(ip->frag_off);
	packet->key.ip_version = 4;
	packet->fragment = (fragment & 0x1fff) != 0;
	address_map_ipv4(packet->key.addr[0], ip->saddr);
	address_map_ipv4(packet->key.addr[1], ip->daddr);
	cursor->protocol = ip->protocol;
	cursor->fragmented = (fragment & 0x3fff) != 0;
	cursor->network = cursor->offset;
	cursor->offset += header;
	return parse_length(skb, cursor, header, length, length != 0);
}

static __always_inline bool is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_AH || protocol == IPPROTO_MH;
}

/* What the walk over extension headers found, in 64 bits. */
#define WALK_PROTOCOL(walk) ((__u8)(walk))
#define WALK_FRAGMENTED     (1ULL << 8) /* a first or later fragment */
#define WALK_LATER          (1ULL << 9) /* a later fragment: no transport header */
#define WALK_CUT_SHORT      (1ULL << 10)
#define WALK_TOO_LONG       (1ULL << 11)
#define WALK_OFFSET(walk)   ((__u32)((walk) >> 32))

/*
 * Walks IPv6 extension headers (RFC 8200, RFC 4302), the first one of type PROTOCOL at OFFSET, up to a transport header,
 * to a later fragment's payload, to ESP, or to "no next header".
 */
__verified_alone __u64 parse_extensions(struct __sk_buff *skb, __u32 offset, __u32 protocol)
{
	__u64 flags = 0;

	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		__u8 header[8];
		if (!is_extension(protocol) || flags & WALK_LATER)
			return (__u64)offset << 32 | flags | (protocol & 0xff);
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return WALK_CUT_SHORT;
		if (protocol == IPPROTO_FRAGMENT) {
			__u16 fragment = (__u16)header[2] << 8 | header[3];
			/* Offset 0 and no more to come: an "atomic" fragment is a whole packet (RFC 6946). */
			if (fragment & 0xfff9)
				flags |= WALK_FRAGMENTED;
			if (fragment & 0xfff8)
				flags |= WALK_LATER;
			offset += 8;
		} else if (protocol == IPPROTO_AH) {
			offset += ((__u32)header[1] + 2) * 4;
		} else {
			offset += ((__u32)header[1] + 1) * 8;
		}
		protocol = header[0];
	}
	if (is_extension(protocol) && !(flags & WALK_LATER))
		return WALK_TOO_LONG;
	return (__u64)offset << 32 | flags | (protocol & 0xff);
}

/* RFC 8200. */
static __always_inline enum verdict parse_ipv6(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	struct ipv6hdr space;
	const struct ipv6hdr *ip = frame_at(skb, cursor->offset, sizeof(*ip), &space);
	if (!ip || ip->version != 6)
		return VERDICT_MALFORMED;

	__u16 length = bpf_ntohs(ip->payload_len);
	packet->key.ip_version = 6;
	address_copy(packet->key.addr[0], &ip->saddr);
	address_copy(packet->key.addr[1], &ip->daddr);
	cursor->protocol = ip->nexthdr;
	cursor->network = cursor->offset;
	cursor->offset += sizeof(*ip);

	/* Zero is a packet without payload, unless it stands for more than fits into the field. */
	bool claimed = length != 0 || !skb->gso_size;
	enum verdict verdict = parse_length(skb, cursor, sizeof(*ip), sizeof(*ip) + length, claimed);
	if (verdict != VERDICT_OBSERVED || !is_extension(ip->nexthdr))
		return verdict;

	__u64 walk = parse_extensions(skb, cursor->offset, cursor->protocol);
	if (walk & WALK_TOO_LONG)
		return VERDICT_UNSUPPORTED;
	cursor->protocol = WALK_PROTOCOL(walk);
	cursor->offset = WALK_OFFSET(walk);
	cursor->fragmented = (walk & WALK_FRAGMENTED) != 0;
	packet->fragment = (walk & WALK_LATER) != 0;
	return walk & WALK_CUT_SHORT || cursor->offset > cursor->end ? VERDICT_MALFORMED : VERDICT_OBSERVED;
}

/* True: address and port of index 0 come after those of index 1. */
static __always_inline bool key_is_reversed(const struct flow_key *key)
{
	for (int i = 0; i < 4; i++) {
		__u32 a = bpf_ntohl(((const __u32 *)key->addr[0])[i]);
		__u32 b = bpf_ntohl(((const __u32 *)key->addr[1])[i]);
		if (a != b)
			return a > b;
	}
	return bpf_ntohs(key->port[0]) > bpf_ntohs(key->port[1]);
}

/* From (source, destination) to (lower end, higher end). */
static __always_inline void key_order(struct packet *packet)
{
	struct flow_key *key = &packet->key;
	if (!key_is_reversed(key))
		return;
	for (int i = 0; i < 4; i++) {
		__u32 *a = &((__u32 *)key->addr[0])[i], *b = &((__u32 *)key->addr[1])[i], swap = *a;
		*a = *b;
		*b = swap;
	}
	__be16 port = key->port[0];
	key->port[0] = key->port[1];
	key->port[1] = port;
	packet->sender = 1;
}

/*
 * Fills the zeroed PACKET. OBSERVED: whole and understood. With any other verdict only packet->packets is of use; COUNTED
 * is the number of wire packets as the entry stub counted it, 0 where it could not.
 */
static __always_inline enum verdict parse(struct __sk_buff *skb, __u32 counted, struct packet *packet)
{
	struct cursor cursor = {};
	__u16 type = 0;
	__u32 transport = 0;

	packet->packets = counted ? counted : 1;
	enum verdict verdict =
		packet->link_type == LINK_ETHERNET ? parse_ethernet(skb, &cursor, &type) : parse_raw_ip(skb, &type);
	if (verdict != VERDICT_OBSERVED)
		return verdict;

	if (type == ETH_P_IP)
		verdict = parse_ipv4(skb, &cursor, packet);
	else if (type == ETH_P_IPV6)
		verdict = parse_ipv6(skb, &cursor, packet);
	else
		return VERDICT_NOT_IP;
	if (verdict != VERDICT_OBSERVED)
		return verdict;
	if (cursor.offset > cursor.end)
		return VERDICT_MALFORMED;

	packet->key.protocol = cursor.protocol;
	if (!packet->fragment) {
		verdict = parse_transport(skb, &cursor, packet, &transport);
		if (verdict != VERDICT_OBSERVED)
			return verdict;
	}
	parse_size(skb, &cursor, transport, counted, packet);
	key_order(packet);
	return VERDICT_OBSERVED;
}
