/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Tunnels: what is inside is the flow. Behind a UDP port or in GRE, only a whole IP header that fits is taken for the inside
 * of a tunnel: a port number is a hint, and anything else is the outer flow's payload. Protocols 4 and 41 are no hint: what
 * is not IP there is malformed.
 */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/packet.bpf.h"
#include "bpf/parse_link.bpf.h"

#define TUNNELS_MAX 3 /* one in another, say Geneve in GRE in IPsec's IP in IP */

#define PORT_VXLAN       4789
#define PORT_VXLAN_LINUX 8472 /* Linux's default, from before there was the other */
#define PORT_GENEVE      6081

/* PORT: the destination's, network order. Tunnels choose their source port freely. */
static __always_inline bool is_tunnel_port(__be16 port)
{
	return port == bpf_htons(PORT_VXLAN) || port == bpf_htons(PORT_VXLAN_LINUX) || port == bpf_htons(PORT_GENEVE);
}

static __always_inline bool is_tunnel_protocol(__u8 protocol)
{
	return protocol == IPPROTO_GRE || protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* A tunnel, opened. */
struct tunnel {
	__u32 id;
	__u32 offset; /* of what is inside */
	__u16 type;   /* EtherType of it */
	__u8 kind;    /* enum segment_kind */
};

/* What tunnel_open() found, in 64 bits; 0: no tunnel. */
#define TUNNEL_ID(found)      ((__u32)(found))
#define TUNNEL_OFFSET(found)  ((__u16)((found) >> 32)) /* of the inner IP header */
#define TUNNEL_KIND(found)    ((__u8)((found) >> 48))
#define TUNNEL_IS_IPV6(found) ((found) >> 56 != 0)

/* VXLAN (RFC 7348: all flags but one are ignored) and Geneve (RFC 8926), in the UDP datagram at OFFSET. */
static __always_inline bool tunnel_udp(struct __sk_buff *skb, __u32 offset, struct tunnel *tunnel)
{
	__u8 header[16];

	if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
		return false;
	tunnel->id = (__u32)header[12] << 16 | (__u32)header[13] << 8 | header[14];
	tunnel->offset = offset + sizeof(header);
	if (header[2] == PORT_GENEVE >> 8 && header[3] == (PORT_GENEVE & 0xff)) {
		tunnel->kind = SEGMENT_GENEVE;
		tunnel->type = (__u16)header[10] << 8 | header[11];
		tunnel->offset += (header[8] & 0x3f) * 4;
		return header[8] >> 6 == 0;
	}
	tunnel->kind = SEGMENT_VXLAN;
	tunnel->type = ETH_P_TEB;
	return (header[8] & 0x08) != 0;
}

#define GRE_CHECKSUM 0x8000
#define GRE_KEY      0x2000
#define GRE_SEQUENCE 0x1000
#define GRE_UNKNOWN  0x4c07 /* another version, or source routing (RFC 1701): a receiver discards it, too */

/* RFC 2784, RFC 2890, RFC 7637. */
static __always_inline bool tunnel_gre(struct __sk_buff *skb, __u32 offset, struct tunnel *tunnel)
{
	__be16 header[2];
	__be32 key;

	if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
		return false;
	__u16 flags = bpf_ntohs(header[0]);
	offset += sizeof(header);
	if (flags & GRE_CHECKSUM)
		offset += 4;
	if (flags & GRE_KEY) {
		if (bpf_skb_load_bytes(skb, offset, &key, sizeof(key)))
			return false;
		tunnel->id = bpf_ntohl(key);
		offset += sizeof(key);
	}
	if (flags & GRE_SEQUENCE)
		offset += 4;
	tunnel->kind = SEGMENT_GRE;
	tunnel->type = bpf_ntohs(header[1]);
	tunnel->offset = offset;
	return !(flags & GRE_UNKNOWN);
}

/* Steps over an inner Ethernet header and its VLAN tags, up to what they announce. False: cut short. */
static __always_inline bool tunnel_ethernet(struct __sk_buff *skb, struct tunnel *tunnel)
{
	__be16 type;

	if (bpf_skb_load_bytes(skb, tunnel->offset + ETHERNET_SIZE - sizeof(type), &type, sizeof(type)))
		return false;
	tunnel->offset += ETHERNET_SIZE;
	for (int i = 0; i < VLAN_TAGS_MAX && is_vlan_type(bpf_ntohs(type)); i++) {
		if (bpf_skb_load_bytes(skb, tunnel->offset + 2, &type, sizeof(type)))
			return false;
		tunnel->offset += 4;
	}
	tunnel->type = bpf_ntohs(type);
	return true;
}

/* An IP header is inside, and the packet that it begins ends by END. */
static __always_inline bool tunnel_holds_ip(struct __sk_buff *skb, const struct tunnel *tunnel, __u32 end)
{
	__u8 header[8]; /* as much as says how long it is */

	if (bpf_skb_load_bytes(skb, tunnel->offset, header, sizeof(header)))
		return false;
	__u32 size = sizeof(struct ipv6hdr), length = size + ((__u32)header[4] << 8 | header[5]);
	__u8 version = 6;
	bool claimed = length != size || !skb->gso_size;
	if (tunnel->type == ETH_P_IP) {
		version = 4;
		size = (header[0] & 0xf) * 4;
		length = (__u32)header[2] << 8 | header[3];
		claimed = length != 0 || !skb->gso_size;
	} else if (tunnel->type != ETH_P_IPV6) {
		return false;
	}
	if (header[0] >> 4 != version || size < sizeof(struct iphdr) || tunnel->offset + size > end)
		return false;
	return !claimed || (length >= size && tunnel->offset + length <= end);
}

/*
 * Opens the tunnel whose header, of type PROTOCOL (IPPROTO_UDP, or is_tunnel_protocol()), is at OFFSET in an IP packet that
 * ends at END. The id of one without an id is 0.
 */
__verified_alone __u64 tunnel_open(struct __sk_buff *skb, __u32 offset, __u32 end, __u32 protocol)
{
	struct tunnel tunnel = { .offset = offset, .kind = SEGMENT_IPIP };

	if (protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6) {
		tunnel.type = protocol == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6;
	} else {
		bool opened =
			protocol == IPPROTO_GRE ? tunnel_gre(skb, offset, &tunnel) : tunnel_udp(skb, offset, &tunnel);
		if (!opened || (tunnel.type == ETH_P_TEB && !tunnel_ethernet(skb, &tunnel)) ||
		    !tunnel_holds_ip(skb, &tunnel, end))
			return 0;
	}
	if (tunnel.offset > 0xffff)
		return 0;
	return (__u64)(tunnel.type == ETH_P_IPV6) << 56 | (__u64)tunnel.kind << 48 | (__u64)tunnel.offset << 32 |
	       tunnel.id;
}
