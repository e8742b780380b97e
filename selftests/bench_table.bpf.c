// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shapes that the flow table could have, as bare as they can be: each program makes a key, finds its totals and adds
 * one packet. What the shapes cost beside each other decided for the one in bpf/flow.bpf.h and bpf/slot.bpf.h.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include "bpf/flow.h"

#define TABLE_MAX 262144

const volatile __u32 flows_in_use = 1; /* packets go round so many flows, in an order that no cache foresees */

struct totals {
	__u64 packets, bytes, last_ns;
	__u8 rest[sizeof(struct flow) - 24]; /* an entry as large as the sensor's */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} turns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TABLE_MAX);
	__type(key, struct flow_key);
	__type(value, struct totals);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, TABLE_MAX);
	__type(key, struct flow_key);
	__type(value, struct totals);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS_PER_CPU * 256);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow_slot);
} slots SEC(".maps");

static __always_inline bool next_key(struct flow_key *key)
{
	__u32 zero = 0;
	__u64 *turn = bpf_map_lookup_elem(&turns, &zero);
	if (!turn)
		return false;
	__u64 flow = flows_in_use > 1 ? (*turn)++ * 2654435761 % flows_in_use : 0;
	__u64 *words = (__u64 *)key;
	words[0] = 0;
	words[1] = 0x0100000affff0000 + (flow << 40);
	words[2] = 0;
	words[3] = 0x0200000affff0000;
	words[4] = (flow >> 16) + 0x40600bb0000;
	words[5] = 0;
	return true;
}

SEC("tc") int shape_key(struct __sk_buff *skb)
{
	struct flow_key key;
	if (!next_key(&key))
		return -1;
	barrier_var(skb);
	return key.protocol == 0 ? 0 : -1;
}

static __always_inline void hash_count(const struct flow_key *key, __u64 packets, __u64 bytes)
{
	struct totals *totals = bpf_map_lookup_elem(&hash, key);
	if (totals) {
		__sync_fetch_and_add(&totals->packets, packets);
		__sync_fetch_and_add(&totals->bytes, bytes);
		totals->last_ns = bpf_ktime_get_coarse_ns();
		return;
	}
	struct totals first = { .packets = packets, .bytes = bytes, .last_ns = bpf_ktime_get_coarse_ns() };
	bpf_map_update_elem(&hash, key, &first, BPF_NOEXIST);
}

SEC("tc") int shape_hash(struct __sk_buff *skb)
{
	struct flow_key key;
	if (next_key(&key))
		hash_count(&key, 1, skb->len);
	return -1;
}

SEC("tc") int shape_lru_percpu(struct __sk_buff *skb)
{
	struct flow_key key;
	if (!next_key(&key))
		return -1;
	struct totals *totals = bpf_map_lookup_elem(&lru, &key);
	if (totals) {
		totals->packets++;
		totals->bytes += skb->len;
		totals->last_ns = bpf_ktime_get_coarse_ns();
		return -1;
	}
	struct totals first = { .packets = 1, .bytes = skb->len, .last_ns = bpf_ktime_get_coarse_ns() };
	bpf_map_update_elem(&lru, &key, &first, BPF_NOEXIST);
	return -1;
}

static __always_inline struct flow_slot *slot_of(const struct flow_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 mixed = (words[1] ^ words[3]) * 0x9e3779b97f4a7c15ULL + words[4] * 0xc2b2ae3d27d4eb4fULL;
	mixed = (mixed ^ mixed >> 29) * 0x9e3779b97f4a7c15ULL;
	__u32 index = bpf_get_smp_processor_id() * SLOTS_PER_CPU + (mixed >> 32) % SLOTS_PER_CPU;
	return bpf_map_lookup_elem(&slots, &index);
}

static __always_inline bool slot_is(const struct flow_slot *slot, const struct flow_key *key)
{
	const __u64 *a = (const __u64 *)&slot->key, *b = (const __u64 *)key;
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5])) == 0;
}

/* Each collision moves the slot to the newcomer, and the totals into the hash. */
SEC("tc") int shape_slot_evict(struct __sk_buff *skb)
{
	struct flow_key key;
	struct flow_slot *slot = next_key(&key) ? slot_of(&key) : NULL;
	if (!slot)
		return -1;
	if (!slot_is(slot, &key)) {
		if (slot->packets[0]) {
			struct flow_key former = slot->key;
			hash_count(&former, slot->packets[0], slot->bytes[0]);
		}
		slot->key = key;
		slot->packets[0] = 0;
		slot->bytes[0] = 0;
	}
	slot->packets[0]++;
	slot->bytes[0] += skb->len;
	slot->last_ns[0] = bpf_ktime_get_coarse_ns();
	return -1;
}

/* The slot stays with its flow for a lease; whoever collides goes to the hash. */
SEC("tc") int shape_slot_lease(struct __sk_buff *skb)
{
	struct flow_key key;
	struct flow_slot *slot = next_key(&key) ? slot_of(&key) : NULL;
	if (!slot)
		return -1;
	__u64 now = bpf_ktime_get_coarse_ns();
	if (now < slot->lease_ns && slot_is(slot, &key)) {
		slot->packets[0]++;
		slot->bytes[0] += skb->len;
		slot->last_ns[0] = now;
		return -1;
	}
	hash_count(&key, 1, skb->len);
	if (now < slot->lease_ns)
		return -1;
	if (slot->packets[0]) {
		struct flow_key former = slot->key;
		hash_count(&former, slot->packets[0], slot->bytes[0]);
	}
	slot->key = key;
	slot->packets[0] = 0;
	slot->bytes[0] = 0;
	slot->lease_ns = now + SLOT_LEASE_NS;
	return -1;
}

char LICENSE[] SEC("license") = "GPL";
