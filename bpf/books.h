/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The loader's half of the books, in the memory-mapped, pinned array map `books`: it outlives the loader's process, so a
 * crash loses records but never the account of them. The kernel's half is in iface_stats and record_stats.
 *
 *	produced = received + lost{reason} + in_ring
 *	received = acked + queued + dropped{reason}
 *	observed = flow_packets + unreported in the table + table_full_packets      (likewise in bytes)
 */
#pragma once

#include "bpf/event.h"

enum lost_reason {
	LOST_RING_FULL,  /* counted by the kernel: record_stats.lost_ring */
	LOST_RATE_LIMIT, /* beyond packets.max_rate; counted by the kernel: record_stats.lost_rate */
	LOST_CRASH,      /* missing after a loader died: neither received nor in the ring any more */
	LOST_INVALID,    /* not of this EVENT_VERSION, or not of the size it claims */
	LOST_REASON_MAX,
};
#define LOST_REASON_NAMES                                     \
	{                                                     \
		"ring_full", "rate_limit", "crash", "invalid" \
	}

enum drop_reason {
	DROP_QUEUE_FULL, /* the backend is slower than the traffic; the oldest records went */
	DROP_REFUSED,    /* the backend answered with a status that forbids a retry */
	DROP_REJECTED,   /* OTLP partial success: the backend took the batch but not these */
	DROP_NO_BACKEND, /* backend.url is empty */
	DROP_SHUTDOWN,   /* the backend did not take them within the time a stop allows */
	DROP_CRASH,      /* in the memory of a loader that died */
	DROP_ERROR,      /* could not be encoded: out of memory */
	DROP_REASON_MAX,
};
#define DROP_REASON_NAMES                                                                       \
	{                                                                                       \
		"queue_full", "refused", "rejected", "no_backend", "shutdown", "crash", "error" \
	}

/* One kind of record. All cumulative; unit: records. */
struct record_account {
	__u64 produced; /* by the loader itself (flow records from the table); the ring's are in record_stats */
	__u64 received;
	__u64 acked;
	__u64 lost[LOST_REASON_MAX];
	__u64 dropped[DROP_REASON_MAX];
};

struct books_state {
	__u64 epoch;        /* of the last committed pass over the flow table: see struct flow_reported */
	__u64 flow_packets; /* sum of the deltas of all flow records written from the table, wire packets */
	__u64 flow_bytes;
	__u64 ring_position; /* consumer position of the ring up to which records are counted as received */
	struct record_account kinds[RECORD_KIND_MAX];
	struct hook_stats departed[DIRECTION_MAX]; /* accounts of interfaces that are gone */
	__u64 departed_iface_id; /* the latest one folded in: its entry in `ifaces` may not be removed yet */
	__u64 departed_layout; /* the latest layout whose books were added to these: its pins may not be removed yet */
	__u32 iface_ids;       /* the largest one ever given */
	__u32 domains;         /* how often one was given */
};
_Static_assert(sizeof(struct books_state) == 56 + RECORD_KIND_MAX * 112 + DIRECTION_MAX * 104, "books_state layout");

/* A commit writes copy[!active] and then flips active: a loader killed between two stores leaves whole books behind. */
struct books_page {
	__u64 active;
	struct books_state copy[2];
};
