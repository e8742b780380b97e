// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/snapshot.h"

static uint64_t excess(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t verdict_sum(const struct hook_stats *stats)
{
	uint64_t sum = 0;
	for (int verdict = 0; verdict < VERDICT_MAX; verdict++)
		sum += stats->verdicts[verdict];
	return sum;
}

/* By how much FLOWS plus what the table had no room for lies outside of what was observed before and after. */
static uint64_t outside(uint64_t flows, uint64_t observed_before, uint64_t full_before, uint64_t observed_after,
                        uint64_t full_after)
{
	return excess(observed_before, flows + full_after) + excess(flows + full_before, observed_after);
}

struct totals flow_difference(const struct hook_stats *before, const struct hook_stats *after,
                              const struct books_state *books, const struct readout_result *readout)
{
	return (struct totals) {
		.packets = outside(books->flow_packets + readout->unreported.packets,
		                   before->verdicts[VERDICT_OBSERVED], before->table_full_packets,
		                   after->verdicts[VERDICT_OBSERVED], after->table_full_packets),
		.bytes = outside(books->flow_bytes + readout->unreported.bytes, before->bytes_observed,
		                 before->table_full_bytes, after->bytes_observed, after->table_full_bytes),
	};
}

/* A reading of all interfaces, one row each; there is room for as many. */
struct reading {
	struct snapshot_iface *rows;
	size_t n;
};

/* Pods come and go: those of one name share a row, or the metrics' series would grow with them. */
static struct snapshot_iface *find_row(struct reading *reading, const struct iface_info *info)
{
	struct snapshot_iface row = { .ifindex = info->domain ? 0 : info->ifindex, .hook = info->hook };
	snprintf(row.name, sizeof(row.name), "%s%s", info->domain ? SNAPSHOT_PODS : "", info->name);
	for (size_t i = 0; info->domain && i < reading->n; i++)
		if (strcmp(reading->rows[i].name, row.name) == 0)
			return &reading->rows[i];
	reading->rows[reading->n] = row;
	return &reading->rows[reading->n++];
}

static void take_iface(const struct iface_account *account, void *data)
{
	struct snapshot_iface *row = find_row(data, account->info);
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		hook_stats_add(&row->stats[direction], &account->stats[direction]);
}

/* Of two readings of the same interfaces, in the same order: what was seen at the first must have a verdict at the second. */
static uint64_t compare_readings(const struct reading *first, const struct reading *second)
{
	uint64_t difference = 0;
	for (size_t i = 0; i < first->n; i++)
		for (int direction = 0; direction < DIRECTION_MAX; direction++) {
			const struct hook_stats *then = &first->rows[i].stats[direction];
			const struct hook_stats *now = &second->rows[i].stats[direction];
			difference += excess(then->seen, verdict_sum(now)) + excess(verdict_sum(then), now->seen);
		}
	return difference;
}

static int take_ifaces(const struct ifaces *ifaces, struct snapshot *snapshot)
{
	size_t n = ifaces_attached(ifaces);
	_cleanup_(freep) struct snapshot_iface *rows = calloc(n ? n : 1, sizeof(*rows));
	_cleanup_(freep) struct snapshot_iface *again = calloc(n ? n : 1, sizeof(*again));
	struct reading first = { .rows = rows }, second = { .rows = again };
	if (!rows || !again)
		return -ENOMEM;
	int r = ifaces_accounts(ifaces, take_iface, &first);
	if (r == 0)
		r = ifaces_accounts(ifaces, take_iface, &second);
	if (r < 0)
		return r;
	snapshot->difference.hooks = compare_readings(&first, &second);
	snapshot->attached = n;
	snapshot->domains = ifaces_domains(ifaces);
	for (int refusal = 0; refusal < REFUSAL_MAX; refusal++)
		snapshot->refused[refusal] = ifaces_refused(ifaces, refusal);
	snapshot->n_ifaces = first.n;
	snapshot->ifaces = TAKE_PTR(rows);
	return 0;
}

static int read_record_stats(int map, struct record_stats ret_stats[static RECORD_KIND_MAX])
{
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct record_stats *values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;

	for (uint32_t kind = 0; kind < RECORD_KIND_MAX; kind++) {
		if (bpf_map_lookup_elem(map, &kind, values) < 0)
			return -errno;
		ret_stats[kind] = (struct record_stats) { 0 };
		for (int cpu = 0; cpu < cpus; cpu++) {
			ret_stats[kind].produced += values[cpu].produced;
			ret_stats[kind].lost_ring += values[cpu].lost_ring;
			ret_stats[kind].lost_rate += values[cpu].lost_rate;
		}
	}
	return 0;
}

static int read_dedupe_stats(int map, struct dedupe_stats *ret_stats)
{
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct dedupe_stats *values = calloc((size_t)cpus, sizeof(*values));
	const uint32_t zero = 0;
	if (!values)
		return -ENOMEM;

	if (bpf_map_lookup_elem(map, &zero, values) < 0)
		return -errno;
	*ret_stats = (struct dedupe_stats) { 0 };
	for (int cpu = 0; cpu < cpus; cpu++) {
		ret_stats->takeovers += values[cpu].takeovers;
		ret_stats->ambiguous += values[cpu].ambiguous;
	}
	return 0;
}

static void take_records(const struct record_stats *kernel, const struct record_account *loader, size_t queued,
                         struct snapshot_records *records)
{
	*records = (struct snapshot_records) {
		.produced = kernel->produced + loader->produced,
		.received = loader->received,
		.acked = loader->acked,
		.queued = queued,
	};
	memcpy(records->lost, loader->lost, sizeof(records->lost));
	memcpy(records->dropped, loader->dropped, sizeof(records->dropped));
	records->lost[LOST_RING_FULL] += kernel->lost_ring;
	records->lost[LOST_RATE_LIMIT] += kernel->lost_rate;
}

static uint64_t sum(const uint64_t *values, size_t n)
{
	uint64_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += values[i];
	return total;
}

/* received = acked + queued + dropped, read under the one lock that all three change under: exact at any time. */
static uint64_t settled_difference(const struct snapshot_records *records)
{
	uint64_t settled = records->acked + records->queued + sum(records->dropped, DROP_REASON_MAX);
	return excess(records->received, settled) + excess(settled, records->received);
}

/*
 * produced = received + lost + in_ring, over all kinds, since the ring's backlog is counted without looking into it. The
 * kernel's counts were read before and after the backlog.
 */
static uint64_t ring_difference(const struct snapshot *snapshot, const struct record_stats *before,
                                const struct record_stats *after)
{
	uint64_t produced = 0, accounted = snapshot->backlog.records, grown_produced = 0, grown_lost = 0;

	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		const struct snapshot_records *records = &snapshot->records[kind];
		produced += records->produced;
		accounted += records->received + sum(records->lost, LOST_REASON_MAX);
		grown_produced += after[kind].produced - before[kind].produced;
		grown_lost += after[kind].lost_ring - before[kind].lost_ring;
		grown_lost += after[kind].lost_rate - before[kind].lost_rate;
	}
	return excess(produced, accounted + grown_lost) + excess(accounted, produced + grown_produced);
}

static int snapshot_records(const struct snapshot_sources *sources, struct snapshot *snapshot)
{
	struct record_stats before[RECORD_KIND_MAX], after[RECORD_KIND_MAX];
	struct queue_level level;

	int r = read_record_stats(sources->loader->maps.record_stats, before);
	if (r < 0)
		return r;
	ring_backlog(sources->ring, sources->ring_position, &snapshot->backlog);
	const struct books_state *state = books_begin(sources->books);
	queue_level(sources->queue, &level);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		take_records(&before[kind], &state->kinds[kind], level.records[kind], &snapshot->records[kind]);
	memcpy(snapshot->departed, state->departed, sizeof(snapshot->departed));
	books_commit(sources->books);
	r = read_record_stats(sources->loader->maps.record_stats, after);
	if (r < 0)
		return r;

	snapshot->difference.records = ring_difference(snapshot, before, after);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		snapshot->difference.records += settled_difference(&snapshot->records[kind]);
	return 0;
}

int snapshot_take(const struct snapshot_sources *sources, struct snapshot *ret_snapshot)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot = {
		.difference.flows = sources->flow_difference.packets,
		.difference.bytes = sources->flow_difference.bytes,
	};

	int r = take_ifaces(sources->ifaces, &snapshot);
	if (r == 0)
		r = snapshot_records(sources, &snapshot);
	if (r < 0)
		return r;
	snapshot.run_ns = ifaces_run_ns(sources->ifaces);
	r = read_dedupe_stats(sources->loader->maps.dedupe_stats, &snapshot.dedupe);
	if (r < 0)
		return r;
	readout_result(sources->readout, &snapshot.readout);
	ship_status(sources->ship, &snapshot.ship);
	*ret_snapshot = snapshot;
	snapshot = (struct snapshot) { 0 };
	return 0;
}

void snapshot_clear(struct snapshot *snapshot)
{
	free(snapshot->ifaces);
	*snapshot = (struct snapshot) { 0 };
}

uint64_t snapshot_difference(const struct snapshot *snapshot)
{
	return snapshot->difference.hooks + snapshot->difference.flows + snapshot->difference.bytes +
	       snapshot->difference.records;
}
