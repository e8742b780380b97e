/* SPDX-License-Identifier: GPL-2.0-only */
/* Self: the sensor's own connections are not observed, or each record shipped would make the next one. */
#pragma once

#include "bpf/parse.bpf.h"

#define SELF_CONNECTIONS_MAX 1024

/* Cookies of the loader's sockets to its backend: set before they connect, removed before they are closed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SELF_CONNECTIONS_MAX);
	__type(key, __u64);
	__type(value, __u64); /* CLOCK_MONOTONIC ns when it was opened */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} self_sockets SEC(".maps");

/*
 * Their tuples, as they are on the wire behind this host's address translation: learned at egress, where the socket is
 * known; ingress and segments without a socket (late FINs, retransmissions of a closed socket) match the tuple.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SELF_CONNECTIONS_MAX);
	__type(key, struct flow_key);
	__type(value, __u64); /* the cookie */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} self_flows SEC(".maps");

static __always_inline bool packet_opens_connection(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * Is this packet the sensor's own? Asked for packets without a live flow and for those that open a connection: a known
 * flow is never ours, since our sockets are announced before their first packet.
 */
static __always_inline bool self_matches(struct __sk_buff *skb, struct packet *packet)
{
	__u64 cookie = hook_direction(packet->hook) == DIRECTION_EGRESS ? bpf_get_socket_cookie(skb) : 0;

	packet->key.twin = 0;
	if (!cookie)
		return bpf_map_lookup_elem(&self_flows, &packet->key) != NULL;
	if (bpf_map_lookup_elem(&self_sockets, &cookie)) {
		bpf_map_update_elem(&self_flows, &packet->key, &cookie, BPF_ANY);
		return true;
	}
	/* Somebody else's connection on a tuple that was once ours. */
	if (packet_opens_connection(packet))
		bpf_map_delete_elem(&self_flows, &packet->key);
	return bpf_map_lookup_elem(&self_flows, &packet->key) != NULL;
}
