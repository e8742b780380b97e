/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Parse, the short way: nearly all packets are TCP or UDP in an Ethernet frame without tags, IPv4 options, IPv6 extension
 * headers, fragmentation or tunnel, with all headers in the linear area. What is so is parsed in one go, at constant
 * offsets; anything else, and all that looks wrong, is left to the rest of parse(), which says the same of these.
 */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/packet.bpf.h"
#include "bpf/parse_link.bpf.h"
#include "bpf/parse_network.bpf.h"
#include "bpf/parse_transport.bpf.h"
#include "bpf/tunnel.bpf.h"

/* The TRANSPORT header, of which TCP_MIN_SIZE bytes can be read, at OFFSET; ROOM bytes are left in the IP packet. */
static __always_inline bool plain_transport(struct packet *packet, const void *transport, __u8 protocol, __u8 version,
                                            __u32 offset, __u32 room)
{
	const __be16 *words = transport;
	__be16 source = words[0], destination = words[1];
	__u32 header;

	if (protocol == IPPROTO_TCP) {
		header = (((const __u8 *)transport)[12] >> 4) * 4;
		if (header < TCP_MIN_SIZE)
			return false;
		packet->tcp_flags = ((const __u8 *)transport)[13];
	} else if (protocol == IPPROTO_UDP) {
		__u16 length = bpf_ntohs(words[2]);
		header = UDP_SIZE;
		if (length < UDP_SIZE || length > room || is_tunnel_port(destination))
			return false;
	} else {
		return false;
	}
	if (room < header)
		return false;
	key_set_transport(&packet->key, packet->sender ? destination : source, packet->sender ? source : destination,
	                  protocol, version);
	packet->payload = offset + header;
	packet->payload_size = room - header;
	return true;
}

static __always_inline bool plain_ipv4(struct packet *packet, const struct iphdr *ip, __u32 frame)
{
	const __u32 offset = ETHERNET_SIZE + sizeof(*ip);
	__u32 length = bpf_ntohs(ip->tot_len);
	__be32 low = ip->saddr, high = ip->daddr;

	if (*(const __u8 *)ip != 0x45 || ip->frag_off & bpf_htons(0x3fff) || low == high)
		return false;
	if (length < sizeof(*ip) || length > frame - ETHERNET_SIZE)
		return false;
	if (bpf_ntohl(low) > bpf_ntohl(high)) {
		low = ip->daddr;
		high = ip->saddr;
		packet->sender = 1;
	}
	key_set_ipv4(&packet->key, low, high);
	if (!plain_transport(packet, ip + 1, ip->protocol, 4, offset, length - sizeof(*ip)))
		return false;
	packet->bytes = length;
	return true;
}

static __always_inline bool plain_ipv6(struct packet *packet, const struct ipv6hdr *ip, __u32 frame)
{
	const __u32 offset = ETHERNET_SIZE + sizeof(*ip);
	__u32 length = bpf_ntohs(ip->payload_len);

	if (*(const __u8 *)ip >> 4 != 6 || !length || length > frame - offset)
		return false;
	int order = key_set_ipv6(&packet->key, ip);
	if (!order)
		return false;
	packet->sender = order > 0;
	if (!plain_transport(packet, ip + 1, ip->nexthdr, 6, offset, length))
		return false;
	packet->bytes = sizeof(*ip) + length;
	return true;
}

/* True: PACKET is filled, and the verdict is OBSERVED. False: it is as it was, but for what parse() fills in anyway. */
static __always_inline bool parse_plain(struct __sk_buff *skb, __u32 counted, struct packet *packet)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 frame = packet_length(skb);

	if (packet->link_type != LINK_ETHERNET || counted != 1 || skb->vlan_present)
		return false;
	if (data + ETHERNET_SIZE + sizeof(struct iphdr) + TCP_MIN_SIZE > end)
		return false;
	__be16 type = ((const __be16 *)data)[6];
	if (type == bpf_htons(ETH_P_IP))
		return plain_ipv4(packet, data + ETHERNET_SIZE, frame);
	if (type != bpf_htons(ETH_P_IPV6) || data + ETHERNET_SIZE + sizeof(struct ipv6hdr) + TCP_MIN_SIZE > end)
		return false;
	return plain_ipv6(packet, data + ETHERNET_SIZE, frame);
}
