// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/snapshot_sample.h"

/* Fills memory that is nothing but 64-bit counters. */
static void fill(void *counters, size_t size, uint64_t *next)
{
	uint64_t *values = counters;
	for (size_t i = 0; i < size / sizeof(*values); i++)
		values[i] = (*next)++;
}

static void set_iface(struct snapshot_iface *iface, const char *name, uint32_t ifindex, enum iface_hook hook,
                      uint64_t *next)
{
	snprintf(iface->name, sizeof(iface->name), "%s", name);
	iface->ifindex = ifindex;
	iface->hook = hook;
	fill(iface->stats, sizeof(iface->stats), next);
}

void snapshot_sample(struct snapshot *ret_snapshot)
{
	struct snapshot *snapshot = ret_snapshot;
	uint64_t next = 1000;

	*snapshot = (struct snapshot) {
		.n_ifaces = SAMPLE_IFACES,
		.attached = 7,
		.domains = 5,
		.refused = { [REFUSAL_PERMISSION] = 3, [REFUSAL_ERROR] = 4 },
	};
	snapshot->ifaces = calloc(SAMPLE_IFACES, sizeof(*snapshot->ifaces));
	assert_non_null(snapshot->ifaces);
	set_iface(&snapshot->ifaces[0], "eth0", 2, IFACE_HOOK_TCX, &next);
	set_iface(&snapshot->ifaces[1], SAMPLE_ODD_NAME, 77, IFACE_HOOK_CLSACT, &next);
	fill(snapshot->departed, sizeof(snapshot->departed), &next);
	fill(snapshot->records, sizeof(snapshot->records), &next);
	fill(&snapshot->backlog, sizeof(snapshot->backlog), &next);
	fill(&snapshot->readout, sizeof(snapshot->readout), &next);
	fill(&snapshot->ship.sequence,
	     offsetof(struct ship_status, cert_expiry) - offsetof(struct ship_status, sequence), &next);
	snapshot->ship.up = true;
	snapshot->ship.cert_expiry = 1790000000;
	snapshot->ship.ca_expiry = 1890000000;
	snapshot->run_ns = 2500000000;
	snapshot->dedupe = (struct dedupe_stats) { .takeovers = 31, .ambiguous = 32 };
}
