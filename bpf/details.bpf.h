/* SPDX-License-Identifier: GPL-2.0-only */
/* Details: what is worth knowing of a new flow beyond its totals, a tunnel's ends and the tuple behind a translation. */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/details_maps.bpf.h"
#include "bpf/packet.bpf.h"

/* The addresses of the IP header at packet->outer, as a flow's key has them. False: cut short. */
static __always_inline bool details_outer(struct __sk_buff *skb, const struct packet *packet, __u8 *from, __u8 *to)
{
	__be32 addresses[2];
	__u8 version;

	if (bpf_skb_load_bytes(skb, packet->outer, &version, sizeof(version)))
		return false;
	if (version >> 4 == 6)
		return !bpf_skb_load_bytes(skb, packet->outer + offsetof(struct ipv6hdr, saddr), from, 16) &&
		       !bpf_skb_load_bytes(skb, packet->outer + offsetof(struct ipv6hdr, daddr), to, 16);
	if (bpf_skb_load_bytes(skb, packet->outer + offsetof(struct iphdr, saddr), addresses, sizeof(addresses)))
		return false;
	address_map_ipv4(from, addresses[0]);
	address_map_ipv4(to, addresses[1]);
	return true;
}

/* A flow's first packets: remembers the ends of the tunnel that they come through. */
static __always_inline void details_note(struct __sk_buff *skb, const struct packet *packet, __u64 flow_id)
{
	struct flow_details noted = {};
	__u8 *sender = packet->sender ? noted.outer[1] : noted.outer[0];
	__u8 *receiver = packet->sender ? noted.outer[0] : noted.outer[1];

	if (!packet->outer)
		return;
	/* Else clang folds the choice into arithmetic on stack pointers that the verifier forbids. */
	barrier_var(sender);
	barrier_var(receiver);
	if (details_outer(skb, packet, sender, receiver))
		bpf_map_update_elem(&details, &flow_id, &noted, BPF_NOEXIST);
}

/*
 * Before the tail call to PROGRAM_CONNTRACK, for a flow's first packets. Not for the very first alone: of what comes in,
 * conntrack knows only behind our hook; so the answer finds it, or where there is none the second packet.
 */
static __always_inline void details_ask(const struct packet *packet, __u64 flow_id)
{
	__u32 zero = 0;
	struct details_request *request = bpf_map_lookup_elem(&details_request, &zero);
	if (!request)
		return;
	request->key = packet->key;
	request->flow_id = flow_id;
}
