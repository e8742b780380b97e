/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's half of the books: what reached each hook and what became of it, what went into the ring. */
#pragma once

#include "bpf/config.h"
#include "bpf/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IFACE_SLOTS *DIRECTION_MAX);
	__type(key, __u32);
	__type(value, struct hook_stats);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} iface_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECORD_KIND_MAX);
	__type(key, __u32);
	__type(value, struct record_stats);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} record_stats SEC(".maps");

/* Plain additions are enough: the counters are per CPU, and TC programs run with bottom halves off. */
static __always_inline struct hook_stats *account_hook(__u32 index)
{
	return bpf_map_lookup_elem(&iface_stats, &index);
}

/* What became of a record that was produced. */
enum record_fate {
	RECORD_KEPT, /* it is in the ring */
	RECORD_LOST_RING,
	RECORD_LOST_RATE,
};

static __always_inline void account_record(__u32 kind, enum record_fate fate)
{
	struct record_stats *stats = bpf_map_lookup_elem(&record_stats, &kind);
	if (!stats)
		return;
	stats->produced++;
	if (fate == RECORD_LOST_RING)
		stats->lost_ring++;
	if (fate == RECORD_LOST_RATE)
		stats->lost_rate++;
}
