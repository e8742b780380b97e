/* SPDX-License-Identifier: Apache-2.0 */
/* The books and the state of a running sensor at one moment, as plain numbers: what status and metrics show. */
#pragma once

#include <stdbool.h>
#include "bpf/dedupe.h"
#include "user/books.h"
#include "user/ifaces.h"
#include "user/queue.h"
#include "user/readout.h"
#include "user/ring.h"
#include "user/ship.h"

#define SNAPSHOT_PODS "pods/" /* before the name of those in other network namespaces; no device's name has a '/' */

/* An interface; or all those of one name in other network namespaces than the sensor's own, together. */
struct snapshot_iface {
	char name[sizeof(SNAPSHOT_PODS) + IF_NAMESIZE];
	uint32_t ifindex; /* 0: of several interfaces */
	enum iface_hook hook;
	struct hook_stats stats[DIRECTION_MAX];
};

/* One kind of record; lost{ring_full, rate_limit} and the ring's produced are the kernel's counts, the others the loader's. */
struct snapshot_records {
	uint64_t produced, received, acked, queued;
	uint64_t lost[LOST_REASON_MAX], dropped[DROP_REASON_MAX];
};

struct snapshot {
	struct snapshot_iface *ifaces;
	size_t n_ifaces;
	size_t attached, domains; /* interfaces, and other network namespaces with some of them */
	uint64_t refused[REFUSAL_MAX];
	struct hook_stats departed[DIRECTION_MAX];
	struct snapshot_records records[RECORD_KIND_MAX];
	struct ring_backlog backlog;
	struct readout_result readout;
	struct ship_status ship;
	uint64_t run_ns;
	struct dedupe_stats dedupe;
	/* How far each equation of the books is from holding, beyond what reading while it runs explains. */
	struct {
		uint64_t hooks;   /* packets: seen = sum of verdicts */
		uint64_t flows;   /* packets: observed = written + unreported + table_full */
		uint64_t bytes;   /* the same in bytes */
		uint64_t records; /* produced = received + lost + in_ring; received = acked + queued + dropped */
	} difference;
};

struct snapshot_sources {
	const struct loader *loader;
	const struct ifaces *ifaces;
	struct books *books;
	const struct queue *queue;
	const struct ring *ring;
	uint64_t ring_position;
	const struct readout *readout;
	struct ship *ship;
	struct totals flow_difference; /* of the last pass over the flow table */
};

/* 0 or -errno. Release with snapshot_clear. */
int snapshot_take(const struct snapshot_sources *sources, struct snapshot *ret_snapshot);
void snapshot_clear(struct snapshot *snapshot);

/* The sum of what does not balance: packets, bytes and records. */
uint64_t snapshot_difference(const struct snapshot *snapshot);

/*
 * The equation between packets and flows around a pass: what was observed before and after it, and what flows account
 * for. Counters only grow, so the truth lies between the readings: returns by how much it does not.
 */
struct totals flow_difference(const struct hook_stats *before, const struct hook_stats *after,
                              const struct books_state *books, const struct readout_result *readout);
