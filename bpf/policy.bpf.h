/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy: what the rules of `namespaces` say of a flow. The loader decides for each cgroup; a flow is denied while all of
 * its ends that are known to be on this host are, and then every hook returns VERDICT_NAMESPACE for it.
 */
#pragma once

#include "bpf/config.bpf.h"
#include "bpf/flow.h"

/*
 * POLICY_ALLOWED or POLICY_DENIED of each cgroup (v2 inode) in the tree; the host's own, which are in no namespace, are
 * allowed. One that is not here (yet) is pending. Written by the loader, and empty while there are no rules.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, POLICY_CGROUPS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} policy_cgroups SEC(".maps");

/* Of a flow between these cgroups; 0: an end that is not on this host, or that no hook has seen send. */
static __always_inline enum flow_policy policy_of_cgroups(__u64 one, __u64 other)
{
	enum flow_policy policy = POLICY_ALLOWED;

	for (int i = 0; i < 2; i++) {
		__u64 cgroup_id = i ? other : one;
		if (!cgroup_id)
			continue;
		const __u8 *verdict = bpf_map_lookup_elem(&policy_cgroups, &cgroup_id);
		if (verdict && *verdict == POLICY_ALLOWED)
			return POLICY_ALLOWED;
		if (policy != POLICY_PENDING)
			policy = verdict ? POLICY_DENIED : POLICY_PENDING;
	}
	return policy;
}

/* Of a packet whose flow has no entry. Without rules this costs nothing. */
static __always_inline enum flow_policy policy_of_packet(struct __sk_buff *skb)
{
	return sensor.namespaces ? policy_of_cgroups(bpf_skb_cgroup_id(skb), 0) : POLICY_ALLOWED;
}

/*
 * Of FLOW, as the rules are now: a flow follows a change of them at its next packet. LEARNED: an end's cgroup was not
 * known before. Else, where nothing is known, the cgroup is gone, and what was decided by it stays.
 */
static __always_inline enum flow_policy policy_update(struct flow *flow, bool learned)
{
	if (!sensor.namespaces)
		return POLICY_ALLOWED;
	enum flow_policy policy = policy_of_cgroups(flow->end[0].cgroup_id, flow->end[1].cgroup_id);
	if (policy == POLICY_PENDING && !learned)
		return flow->policy;
	if (flow->policy != policy)
		flow->policy = policy;
	return policy;
}
