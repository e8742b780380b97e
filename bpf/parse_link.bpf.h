/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Parse, first part: the link header and VLAN tags, wherever they are. */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/iface.h"
#include "bpf/packet.bpf.h"

#define VLAN_TAGS_MAX 2 /* 802.1ad: a service tag and a customer tag */
#define VLAN_ID_MASK  0xfff
#define ETHERNET_SIZE 14

/* The VLANs that this host terminates. Filled by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, VLANS_MAX);
	__type(key, struct vlan_key);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} vlans SEC(".maps");

static __always_inline bool is_vlan_type(__u16 type)
{
	return type == ETH_P_8021Q || type == ETH_P_8021AD;
}

static __always_inline bool vlan_is_terminated(__u32 iface_id, __u16 vid, __u16 outer)
{
	struct vlan_key key = { .iface_id = iface_id, .vid = vid, .outer = outer };
	return bpf_map_lookup_elem(&vlans, &key) != NULL;
}

/* What parse_tags() found, in 64 bits. */
#define TAGS_CUT_SHORT     0
#define TAGS_TOO_MANY      1
#define TAGS_TYPE(tags)    ((__u16)(tags))
#define TAGS_OFFSET(tags)  ((__u16)((tags) >> 16)) /* of what is behind the tags */
#define TAGS_SEGMENT(tags) ((__u32)((tags) >> 32)) /* as flow_key.segment */

/*
 * Reads the tags of an Ethernet frame on the interface IFACE_ID: the one in skb metadata, which is the outermost (the
 * kernel takes it off a frame that comes in, and the NIC puts it onto one that goes out), and those in the frame. Priority
 * tags, with id 0, are tags but name no VLAN.
 */
__verified_alone __u64 parse_tags(struct __sk_buff *skb, __u32 iface_id)
{
	__u32 offset = ETHERNET_SIZE, tags = 0;
	__u16 outer = 0, inner = 0;
	__be16 type;

	if (skb->vlan_present) {
		outer = skb->vlan_tci & VLAN_ID_MASK;
		tags = 1;
	}
	if (bpf_skb_load_bytes(skb, ETHERNET_SIZE - sizeof(type), &type, sizeof(type)))
		return TAGS_CUT_SHORT;
	for (int i = 0; i <= VLAN_TAGS_MAX && is_vlan_type(bpf_ntohs(type)); i++) {
		__be16 tag[2];
		if (++tags > VLAN_TAGS_MAX)
			return TAGS_TOO_MANY;
		if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
			return TAGS_CUT_SHORT;
		offset += sizeof(tag);
		if (outer)
			inner = bpf_ntohs(tag[0]) & VLAN_ID_MASK;
		else
			outer = bpf_ntohs(tag[0]) & VLAN_ID_MASK;
		type = tag[1];
	}
	if (outer && vlan_is_terminated(iface_id, outer, 0)) {
		outer = inner && !vlan_is_terminated(iface_id, inner, outer) ? inner : 0;
		inner = 0;
	}
	__u32 segment = inner ? (__u32)outer << 16 | inner : outer;
	return (__u64)segment << 32 | offset << 16 | bpf_ntohs(type);
}

/* EtherType behind the Ethernet header and its VLAN tags. */
static __always_inline enum verdict parse_ethernet(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet,
                                                   __u16 *ret_type)
{
	__be16 space;
	const __be16 *type = frame_at(skb, ETHERNET_SIZE - sizeof(space), sizeof(space), &space);
	if (!type)
		return VERDICT_MALFORMED;

	*ret_type = bpf_ntohs(*type);
	cursor->offset = ETHERNET_SIZE;
	if (!is_vlan_type(*ret_type) && !skb->vlan_present)
		return VERDICT_OBSERVED;

	__u64 tags = parse_tags(skb, hook_iface_id(packet->hook));
	if (tags == TAGS_CUT_SHORT)
		return VERDICT_MALFORMED;
	if (tags == TAGS_TOO_MANY)
		return VERDICT_UNSUPPORTED;
	*ret_type = TAGS_TYPE(tags);
	cursor->offset = TAGS_OFFSET(tags);
	packet->key.segment = TAGS_SEGMENT(tags);
	packet->key.segment_kind = packet->key.segment ? SEGMENT_VLAN : SEGMENT_NONE;
	return VERDICT_OBSERVED;
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
