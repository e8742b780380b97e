/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rate: at most packets.max_rate samples a second and CPU, and a share of them for each owner, so that a noisy pod does not
 * take those of the others.
 *
 * A bucket is one number: the time up to which its budget is spent. A sample costs the time in which the rate earns one,
 * and may be taken while the spent time lies behind the clock; what is unspent for longer than RATE_BURST_NS expires.
 * All samples spend from one common bucket, which may be emptied by whoever comes first. From then on an owner still has
 * its share, a bucket of 1/RATE_SHARES of the rate, and what is taken from shares puts the common bucket into debt: as
 * long as no more than RATE_SHARES owners draw on theirs, none that stays within its share is refused anything. The debt
 * is bounded, so that the rate holds whatever happens: within t seconds at most
 * max_rate * (t + 2 * RATE_BURST_NS) + RATE_SHARES + 2.
 */
#pragma once

#include "bpf/flow.bpf.h"

#define RATE_SHARES     16
#define RATE_OWNERS_MAX 2048
#define RATE_BURST_NS   (250ULL * 1000000)
#define SECOND_NS       (1000ULL * 1000000)

struct rate_bucket {
	__u64 spent_ns; /* CLOCK_MONOTONIC up to which the budget is spent */
};

/* Whom a sample is charged to. */
struct rate_owner {
	__u64 cgroup_id; /* 0: not known */
	__u32 iface_id;  /* of the interface that sees it, where the cgroup is not known */
	__u32 reserved;  /* 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rate_bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rate_common SEC(".maps");

/* Asked only while the common bucket is empty. An owner that was forgotten has its whole burst again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, RATE_OWNERS_MAX);
	__type(key, struct rate_owner);
	__type(value, struct rate_bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rate_owners SEC(".maps");

/* Who began the flow, since that makes the traffic of both ends; else who answers it; else whoever is behind the interface. */
static __always_inline struct rate_owner rate_owner(const struct packet *packet, const struct flow_position *position)
{
	__u64 began = position->initiator ? position->cgroup_id[1] : position->cgroup_id[0];
	__u64 answers = position->initiator ? position->cgroup_id[0] : position->cgroup_id[1];
	struct rate_owner owner = { .cgroup_id = began ? began : answers };

	if (!owner.cgroup_id)
		owner.iface_id = hook_iface_id(packet->hook);
	return owner;
}

/*
 * The time up to which the bucket is spent, now that what expired is gone. AHEAD: how far that may lie before the clock;
 * more is left from a lower rate, or from a clock that went back.
 */
static __always_inline __u64 rate_spent(struct rate_bucket *bucket, __u64 now, __u64 ahead)
{
	if (bucket->spent_ns + RATE_BURST_NS < now)
		bucket->spent_ns = now - RATE_BURST_NS;
	if (bucket->spent_ns > now + ahead)
		bucket->spent_ns = now + ahead;
	return bucket->spent_ns;
}

/* True: OWNER had COST left in its share, and has spent it. */
static __always_inline bool rate_take_share(const struct rate_owner *owner, __u64 now, __u64 cost)
{
	struct rate_bucket *bucket = bpf_map_lookup_elem(&rate_owners, owner);
	if (!bucket) {
		const struct rate_bucket full = {};
		bpf_map_update_elem(&rate_owners, owner, &full, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&rate_owners, owner);
		if (!bucket)
			return false;
	}
	if (rate_spent(bucket, now, cost) >= now)
		return false;
	bucket->spent_ns += cost;
	return true;
}

/* True: the sample may be shipped, and is paid for. */
static __always_inline bool rate_take(struct __sk_buff *skb, const struct packet *packet,
                                      const struct flow_position *position)
{
	__u32 index = 0;

	if (!sensor.max_rate)
		return true;
	struct rate_bucket *common = bpf_map_lookup_elem(&rate_common, &index);
	if (!common)
		return false;

	__u64 now = clock_now(skb), cost = SECOND_NS / sensor.max_rate;
	/* What RATE_SHARES bursts come to, each with its last sample begun, and that of the common bucket. */
	__u64 debt = RATE_BURST_NS + (RATE_SHARES + 1) * cost;
	__u64 spent = rate_spent(common, now, debt);
	if (spent >= now + debt)
		return false;
	if (spent >= now) {
		struct rate_owner owner = rate_owner(packet, position);
		if (!rate_take_share(&owner, now, RATE_SHARES * cost))
			return false;
	}
	common->spent_ns = spent + cost;
	return true;
}
