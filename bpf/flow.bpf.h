/* SPDX-License-Identifier: GPL-2.0-only */
/* Flow: exact totals per bidirectional 5-tuple, in one preallocated hash with atomic additions. */
#pragma once

#include "bpf/config.bpf.h"
#include "bpf/dedupe.bpf.h"
#include "bpf/parse.bpf.h"
#include "bpf/policy.bpf.h"
#include "bpf/socket_maps.bpf.h"

/* Preallocated: an insert never waits for memory and never fails below max_entries, which the loader sets (flows.max). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct flow);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

/* The owner is asked for with a direction's first packets only: a SYN may not have a full socket yet. */
#define FLOW_OWNER_PACKETS 4
/* And details with these: see details.bpf.h. */
#define FLOW_YOUNG_PACKETS 2

/* What the lookup found out, for the stages behind it. */
struct flow_lookup {
	struct flow *flow; /* live; NULL: none */
	__u64 former_id;   /* of the generation that is over but not removed yet; 0: none */
	__u32 former_generation;
	__u8 free_twin; /* the key's twin under which a new entry may go; 2: both are taken */
};

static __always_inline void flow_find(struct packet *packet, __u64 now, struct flow_lookup *ret_lookup)
{
	ret_lookup->free_twin = 2;
	for (int twin = 0; twin < 2; twin++) {
		packet->key.twin = twin;
		struct flow *flow = bpf_map_lookup_elem(&flows, &packet->key);
		if (!flow) {
			if (ret_lookup->free_twin == 2)
				ret_lookup->free_twin = twin;
		} else if (now < flow_over_ns(flow, sensor.idle_timeout_ns)) {
			ret_lookup->flow = flow;
			return;
		} else {
			ret_lookup->former_id = flow->id;
			ret_lookup->former_generation = flow->generation;
		}
	}
}

/* Who began: TCP's handshake tells; else a well-known port is the responder's; else the first packet's sender began. */
static __always_inline __u8 flow_initiator(const struct packet *packet)
{
	__u8 other = !packet->sender;

	if (packet->tcp_flags & TCP_SYN)
		return packet->tcp_flags & TCP_ACK ? other : packet->sender;
	if (packet->key.protocol == IPPROTO_ICMP || packet->key.protocol == IPPROTO_ICMPV6)
		return packet->sender;
	__u16 low = bpf_ntohs(packet->key.port[0]), high = bpf_ntohs(packet->key.port[1]);
	__u16 from = packet->sender ? high : low, to = packet->sender ? low : high;
	return from < 1024 && to >= 1024 ? other : packet->sender;
}

/* Unique while the maps live: no CPU makes two flows in the same nanosecond. */
static __always_inline __u64 flow_new_id(void)
{
	return (bpf_ktime_get_ns() << 10 | (bpf_get_smp_processor_id() & 0x3ff)) ^ sensor.id_salt;
}

/* The sockets at both ends, as far as the tuple alone tells and they are not known. */
static __always_inline void flow_learn_connection(struct packet *packet, struct flow *flow)
{
	__u8 twin = packet->key.twin;

	if (!sensor.sockets || packet->key.protocol != IPPROTO_TCP || (flow->end[0].cookie && flow->end[1].cookie))
		return;
	packet->key.twin = 0;
	const struct connection *connection = bpf_map_lookup_elem(&connections, &packet->key);
	packet->key.twin = twin;
	if (!connection)
		return;
	for (int i = 0; i < 2; i++)
		if (!flow->end[i].cookie)
			flow->end[i].cookie = connection->cookie[i];
}

/*
 * Whose socket sends, and who is at the other end. A request socket (it sends SYN and ACK) has the cookie already that the
 * accepted one will have. True: the end's cgroup was not known before this packet.
 */
static __always_inline bool flow_learn_owner(struct __sk_buff *skb, struct packet *packet, struct flow *flow,
                                             struct flow_end *end)
{
	if (end->packets >= FLOW_OWNER_PACKETS)
		return false;
	if (!end->cookie)
		end->cookie = bpf_get_socket_cookie(skb);
	flow_learn_connection(packet, flow);
	if (end->cgroup_id)
		return false;
	end->cgroup_id = bpf_skb_cgroup_id(skb);
	return end->cgroup_id != 0;
}

/* What a packet changes whether it is counted or not: the flow goes on, or is about to end. */
static __always_inline void flow_touch(const struct packet *packet, __u64 now, struct flow_end *end)
{
	/* Only when the tick moved: the line is not dirtied for nothing. */
	if (end->last_ns != now)
		end->last_ns = now;
	/*
	 * Not atomic (that needs 5.12): of two CPUs that see different new flags at once, one may be lost, and the
	 * flow's end may then be found by its idle timeout. Totals are not concerned.
	 */
	if (packet->tcp_flags & ~end->tcp_flags)
		end->tcp_flags |= packet->tcp_flags;
}

static __always_inline void flow_add(const struct packet *packet, __u64 now, struct flow_end *end)
{
	__sync_fetch_and_add(&end->packets, packet->packets);
	__sync_fetch_and_add(&end->bytes, packet->bytes);
	flow_touch(packet, now, end);
}

/* Where the packet stands in its flow, for sampling. */
struct flow_position {
	__u64 flow_id;
	__u64 bytes_before; /* that its sender had sent */
	__u64 cgroup_id[2]; /* per end of the key */
	__u64 cookie[2];    /* likewise */
	__u8 initiator;
	__u8 policy; /* enum flow_policy */
	__u8 young;  /* 1: among the first FLOW_YOUNG_PACKETS that its sender sent */
};

/*
 * A new entry with this packet in it, of the policy in *RET_POSITION; where it is denied, nothing is counted in it. 0,
 * -EEXIST: another CPU was faster, else the table is full.
 */
static __always_inline long flow_insert(struct __sk_buff *skb, struct packet *packet, __u64 now,
                                        const struct flow_lookup *lookup, struct flow_position *ret_position)
{
	struct flow flow = {
		.id = lookup->former_id ? lookup->former_id : flow_new_id(),
		.generation = lookup->former_generation + 1,
		.start_ns = now,
		.initiator = flow_initiator(packet),
		.policy = ret_position->policy,
	};
	bool denied = ret_position->policy == POLICY_DENIED;
	struct flow_end *end = packet->sender ? &flow.end[1] : &flow.end[0];

	/* Else clang folds the choice into arithmetic on stack pointers that the verifier forbids. */
	barrier_var(end);
	*end = (struct flow_end) {
		.packets = denied ? 0 : packet->packets,
		.bytes = denied ? 0 : packet->bytes,
		.last_ns = now,
		.cgroup_id = bpf_skb_cgroup_id(skb),
		.cookie = bpf_get_socket_cookie(skb),
		.hook = denied ? 0 : packet->hook,
		.tcp_flags = packet->tcp_flags,
	};
	flow_learn_connection(packet, &flow);
	packet->key.twin = lookup->free_twin;
	ret_position->flow_id = flow.id;
	for (int i = 0; i < 2; i++) {
		ret_position->cgroup_id[i] = flow.end[i].cgroup_id;
		ret_position->cookie[i] = flow.end[i].cookie;
	}
	ret_position->initiator = flow.initiator;
	ret_position->young = 1;
	return bpf_map_update_elem(&flows, &packet->key, &flow, BPF_NOEXIST);
}

/* Counts the packet into a live FLOW: OBSERVED, or DUPLICATE or NAMESPACE. */
static __always_inline enum verdict flow_count(struct __sk_buff *skb, struct packet *packet, __u64 now,
                                               struct flow *flow, struct flow_position *ret_position)
{
	struct flow_end *end = packet->sender ? &flow->end[1] : &flow->end[0];

	ret_position->policy = policy_update(flow, flow_learn_owner(skb, packet, flow, end));
	if (ret_position->policy == POLICY_DENIED) {
		flow_touch(packet, now, end);
		return VERDICT_NAMESPACE;
	}
	if (!dedupe_owns(end, packet->hook, now))
		return VERDICT_DUPLICATE;
	ret_position->flow_id = flow->id;
	ret_position->bytes_before = end->bytes;
	ret_position->initiator = flow->initiator;
	ret_position->young = end->packets < FLOW_YOUNG_PACKETS;
	flow_add(packet, now, end);
	for (int i = 0; i < 2; i++) {
		ret_position->cgroup_id[i] = flow->end[i].cgroup_id;
		ret_position->cookie[i] = flow->end[i].cookie;
	}
	return VERDICT_OBSERVED;
}
