/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Parse: from the link header to the flow key. No length in a packet is believed before it is checked. */
#pragma once

#include "bpf/fragment.bpf.h"
#include "bpf/packet.bpf.h"
#include "bpf/parse_link.bpf.h"
#include "bpf/parse_network.bpf.h"
#include "bpf/parse_plain.bpf.h"
#include "bpf/parse_transport.bpf.h"
#include "bpf/tunnel.bpf.h"

/* The IP packet at this CPU's cursor, which begins with a header of TYPE, and its transport header. An enum verdict. */
__verified_alone int parse_ip(struct __sk_buff *skb, __u32 type)
{
	struct scratch *scratch = scratch_find();
	enum verdict verdict;

	if (!scratch)
		return VERDICT_ERROR;
	struct cursor *cursor = &scratch->cursor;
	struct packet *packet = &scratch->packet;
	if (type == ETH_P_IP)
		verdict = parse_ipv4(skb, cursor, packet);
	else if (type == ETH_P_IPV6)
		verdict = parse_ipv6(skb, cursor, packet);
	else
		return VERDICT_NOT_IP;
	if (verdict != VERDICT_OBSERVED)
		return verdict;
	if (cursor->offset > cursor->end)
		return VERDICT_MALFORMED;
	packet->key.protocol = cursor->protocol;
	return packet->fragment ? VERDICT_OBSERVED : parse_transport(skb, cursor, packet);
}

/* From the IP packet at the cursor, which begins with a header of TYPE, to the innermost one. */
static __always_inline enum verdict parse_innermost(struct __sk_buff *skb, __u16 type, struct cursor *cursor,
                                                    struct packet *packet)
{
	for (int depth = 0; depth <= TUNNELS_MAX; depth++) {
		enum verdict verdict = parse_ip(skb, type);
		if (verdict != VERDICT_OBSERVED || !cursor->tunnel)
			return verdict;
		__u64 found = tunnel_open(skb, cursor->offset, cursor->end, cursor->protocol);
		if (!found)
			return VERDICT_OBSERVED;

		packet->outer = cursor->network;
		packet->sender = 0;
		__builtin_memset(packet->key.port, 0, sizeof(packet->key.port));
		packet->key.segment_kind = TUNNEL_KIND(found);
		packet->key.segment = TUNNEL_ID(found);
		type = TUNNEL_IS_IPV6(found) ? ETH_P_IPV6 : ETH_P_IP;
		*cursor = (struct cursor) { .offset = TUNNEL_OFFSET(found), .end = cursor->end };
	}
	return VERDICT_UNSUPPORTED;
}

/* The ports from (source, destination) to (lower end, higher end). They decide where the addresses are the same. */
static __always_inline void order_ports(const struct cursor *cursor, struct packet *packet)
{
	__be16 source = packet->key.port[0], destination = packet->key.port[1];

	if (cursor->same)
		packet->sender = bpf_ntohs(source) > bpf_ntohs(destination);
	if (packet->sender) {
		packet->key.port[0] = destination;
		packet->key.port[1] = source;
	}
}

/* All that parse_plain() leaves, into this CPU's packet. An enum verdict. */
__verified_alone int parse_any(struct __sk_buff *skb, __u32 counted)
{
	struct scratch *scratch = scratch_find();
	__u16 type = 0;

	if (!scratch)
		return VERDICT_ERROR;
	struct cursor *cursor = &scratch->cursor;
	struct packet *packet = &scratch->packet;
	*cursor = (struct cursor) { .end = packet_length(skb) };
	enum verdict verdict = packet->link_type == LINK_ETHERNET ? parse_ethernet(skb, cursor, packet, &type)
	                                                          : parse_raw_ip(skb, &type);
	if (verdict == VERDICT_OBSERVED)
		verdict = parse_innermost(skb, type, cursor, packet);
	if (verdict != VERDICT_OBSERVED)
		return verdict;
	if (cursor->fragmented)
		fragment_follow(skb, cursor, packet);
	parse_size(skb, cursor, counted, packet);
	order_ports(cursor, packet);
	return VERDICT_OBSERVED;
}

/*
 * Fills PACKET, this CPU's, which has hook, stats, link type and domain, and is zero otherwise. OBSERVED: whole and
 * understood. With any other verdict only packet->packets is of use; COUNTED is the number of wire packets as the entry stub
 * counted it, 0 where it could not.
 */
static __always_inline enum verdict parse(struct __sk_buff *skb, __u32 counted, struct packet *packet)
{
	packet->packets = counted ? counted : 1;
	if (parse_plain(skb, counted, packet))
		return VERDICT_OBSERVED;
	return parse_any(skb, counted);
}
