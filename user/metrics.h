/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot in the Prometheus text format 0.0.4. Series are bounded by the interfaces attached now. */
#pragma once

#include "user/buf.h"
#include "user/pod_list.h"
#include "user/snapshot.h"

struct metrics_extra {
	uint64_t flows_max;
	const uint32_t *filter_instructions; /* by enum link_type; 0: no filter; NULL: not known */
	const uint64_t *enrich_misses;       /* by enum enrich_miss; NULL: names are not looked for */
	const struct pod_list_status *pods;  /* NULL: no pod list is configured */
	uint64_t sockets_run_ns;             /* time in the socket hooks */
	uint64_t cgroup_rereads;             /* how often the cgroup tree had to be read anew */
};

/* Appends all metrics. 0, -ENOMEM, -EFBIG. */
int metrics_format(const struct snapshot *snapshot, const struct metrics_extra *extra, struct buf *out);
