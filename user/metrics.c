// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include "user/enrich.h"
#include "user/metrics.h"
#include "version.h"

static const char *const verdict_names[] = VERDICT_NAMES;
static const char *const link_names[LINK_TYPE_MAX] = { [LINK_ETHERNET] = "ethernet", [LINK_RAW_IP] = "raw_ip" };
static const char *const kind_names[] = RECORD_KIND_NAMES;
static const char *const lost_names[] = LOST_REASON_NAMES;
static const char *const drop_names[] = DROP_REASON_NAMES;
static const char *const miss_names[] = ENRICH_MISS_NAMES;
static const char *const refusal_names[] = REFUSAL_NAMES;
static const char *const direction_names[] = { "ingress", "egress" };

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_appendf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void plain(struct buf *out, const char *name, const char *type, uint64_t value, const char *help)
{
	head(out, name, type, help);
	buf_appendf(out, "%s %" PRIu64 "\n", name, value);
}

/*
 * A label's value. An interface name may hold any byte but "/", ":" and white space; a scrape with a value that is not
 * UTF-8 would be refused as a whole.
 */
static void label(struct buf *out, const char *name, const char *value)
{
	buf_appendf(out, "%s=\"", name);
	for (; *value; value++)
		buf_appendf(out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value & 0x80 ? '?' : *value);
	buf_append(out, "\"", 1);
}

/* One counter of struct hook_stats, or with REASONS its verdicts but for observed. */
struct hook_metric {
	const char *name, *help;
	size_t offset;
	bool reasons;
};

static void hook_line(struct buf *out, const struct hook_metric *metric, const char *interface, int direction,
                      const char *reason, uint64_t value)
{
	buf_appendf(out, "%s{", metric->name);
	label(out, "interface", interface);
	buf_appendf(out, ",direction=\"%s\"", direction_names[direction]);
	if (reason)
		buf_appendf(out, ",reason=\"%s\"", reason);
	buf_appendf(out, "} %" PRIu64 "\n", value);
}

static void hook_lines(struct buf *out, const struct hook_metric *metric, const char *interface,
                       const struct hook_stats stats[static DIRECTION_MAX])
{
	for (int direction = 0; direction < DIRECTION_MAX; direction++) {
		const struct hook_stats *hook = &stats[direction];
		if (!metric->reasons) {
			hook_line(out, metric, interface, direction, NULL,
			          *(const uint64_t *)((const char *)hook + metric->offset));
			continue;
		}
		for (int verdict = VERDICT_OBSERVED + 1; verdict < VERDICT_MAX; verdict++)
			hook_line(out, metric, interface, direction, verdict_names[verdict], hook->verdicts[verdict]);
	}
}

static void hooks(struct buf *out, const struct snapshot *snapshot)
{
	static const struct hook_metric metrics[] = {
		{ "sonde_packets_seen_total", "Packets that reached the hook, as a wire tap counts them.",
		  offsetof(struct hook_stats, seen), false },
		{ "sonde_packets_observed_total", "Packets counted into a flow.",
		  offsetof(struct hook_stats, verdicts[VERDICT_OBSERVED]), false },
		{ "sonde_packets_skipped_total", "Packets not observed, by reason.", 0, true },
		{ "sonde_bytes_observed_total", "Bytes of observed packets, from the IP header on.",
		  offsetof(struct hook_stats, bytes_observed), false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		head(out, metrics[i].name, "counter", metrics[i].help);
		for (size_t j = 0; j < snapshot->n_ifaces; j++)
			hook_lines(out, &metrics[i], snapshot->ifaces[j].name, snapshot->ifaces[j].stats);
		hook_lines(out, &metrics[i], "(departed)", snapshot->departed);
	}
}

/* One number a kind, at OFFSET in struct snapshot_records; with NAMES an array of N reasons. */
static void records(struct buf *out, const struct snapshot *snapshot, const char *name, const char *help, size_t offset,
                    const char *const *names, size_t n)
{
	head(out, name, "counter", help);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++) {
		const uint64_t *values = (const uint64_t *)((const char *)&snapshot->records[kind] + offset);
		if (!names) {
			buf_appendf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", name, kind_names[kind], *values);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			buf_appendf(out, "%s{kind=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, kind_names[kind],
			            names[i], values[i]);
	}
}

static void all_records(struct buf *out, const struct snapshot *snapshot)
{
	records(out, snapshot, "sonde_records_emitted_total", "Records produced, by kernel or loader.",
	        offsetof(struct snapshot_records, produced), NULL, 0);
	records(out, snapshot, "sonde_records_lost_total", "Records lost before the loader had them.",
	        offsetof(struct snapshot_records, lost), lost_names, LOST_REASON_MAX);
	records(out, snapshot, "sonde_records_received_total", "Records the loader took over.",
	        offsetof(struct snapshot_records, received), NULL, 0);
	records(out, snapshot, "sonde_records_acked_total", "Records the backend acknowledged.",
	        offsetof(struct snapshot_records, acked), NULL, 0);
	records(out, snapshot, "sonde_records_dropped_total", "Records received but given up.",
	        offsetof(struct snapshot_records, dropped), drop_names, DROP_REASON_MAX);

	head(out, "sonde_records_queued", "gauge", "Records waiting for the backend's acknowledgement.");
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		buf_appendf(out, "sonde_records_queued{kind=\"%s\"} %" PRIu64 "\n", kind_names[kind],
		            snapshot->records[kind].queued);
}

static void delivery(struct buf *out, const struct ship_status *ship)
{
	plain(out, "sonde_batches_sent_total", "counter", ship->batches_sent, "Batches the backend answered with 2xx.");
	plain(out, "sonde_batches_retried_total", "counter", ship->batches_retried,
	      "Attempts that were repeated later.");
	head(out, "sonde_export_bytes_total", "counter", "Bytes of batches, by stage.");
	buf_appendf(out, "sonde_export_bytes_total{stage=\"encoded\"} %" PRIu64 "\n", ship->bytes_encoded);
	buf_appendf(out, "sonde_export_bytes_total{stage=\"compressed\"} %" PRIu64 "\n", ship->bytes_compressed);
	buf_appendf(out, "sonde_export_bytes_total{stage=\"sent\"} %" PRIu64 "\n", ship->bytes_sent);
	plain(out, "sonde_backend_up", "gauge", ship->up, "1: the latest attempt was answered with 2xx.");
	head(out, "sonde_certificate_expiry_seconds", "gauge", "Unix time of the earliest notAfter in the file.");
	if (ship->cert_expiry)
		buf_appendf(out, "sonde_certificate_expiry_seconds{file=\"cert\"} %" PRId64 "\n", ship->cert_expiry);
	if (ship->ca_expiry)
		buf_appendf(out, "sonde_certificate_expiry_seconds{file=\"ca\"} %" PRId64 "\n", ship->ca_expiry);
}

static void names(struct buf *out, const struct metrics_extra *extra)
{
	if (extra->enrich_misses) {
		head(out, "sonde_enrich_misses_total", "counter",
		     "Ends on this node that were left without a name, by field.");
		for (int miss = 0; miss < ENRICH_MISS_MAX; miss++)
			buf_appendf(out, "sonde_enrich_misses_total{field=\"%s\"} %" PRIu64 "\n", miss_names[miss],
			            extra->enrich_misses[miss]);
	}
	plain(out, "sonde_cgroup_rereads_total", "counter", extra->cgroup_rereads,
	      "Times the cgroup tree was read anew, since notifications did not suffice.");
	if (!extra->pods)
		return;
	plain(out, "sonde_pod_list_up", "gauge", extra->pods->up, "1: the latest request gave a list of pods.");
	plain(out, "sonde_pod_list_pods", "gauge", extra->pods->pods, "Pods in the latest list.");
	head(out, "sonde_pod_list_requests_total", "counter", "Requests for the list of pods, by result.");
	buf_appendf(out, "sonde_pod_list_requests_total{result=\"ok\"} %" PRIu64 "\n", extra->pods->refreshes);
	buf_appendf(out, "sonde_pod_list_requests_total{result=\"failed\"} %" PRIu64 "\n", extra->pods->failures);
}

int metrics_format(const struct snapshot *snapshot, const struct metrics_extra *extra, struct buf *out)
{
	hooks(out, snapshot);
	plain(out, "sonde_interfaces_attached", "gauge", snapshot->attached, "Interfaces with our hooks.");
	plain(out, "sonde_network_namespaces", "gauge", snapshot->domains,
	      "Network namespaces of pods that are watched inside.");
	head(out, "sonde_network_namespaces_refused_total", "counter",
	     "Network namespaces of pods that were left alone, by reason.");
	for (int refusal = 0; refusal < REFUSAL_MAX; refusal++)
		buf_appendf(out, "sonde_network_namespaces_refused_total{reason=\"%s\"} %" PRIu64 "\n",
		            refusal_names[refusal], snapshot->refused[refusal]);
	plain(out, "sonde_flows", "gauge", snapshot->readout.flows, "Live flows in the table at the last pass.");
	plain(out, "sonde_flow_takeovers_total", "counter", snapshot->dedupe.takeovers,
	      "Directions of flows that went to another hook.");
	plain(out, "sonde_flow_takeovers_ambiguous_total", "counter", snapshot->dedupe.ambiguous,
	      "Packets that came by a second hook which may be the direction's new way.");
	plain(out, "sonde_flows_max", "gauge", extra->flows_max, "Room in the flow table.");
	all_records(out, snapshot);
	delivery(out, &snapshot->ship);
	plain(out, "sonde_ring_used_bytes", "gauge", snapshot->backlog.bytes, "Bytes waiting in the ring buffer.");
	plain(out, "sonde_books_difference", "gauge", snapshot_difference(snapshot),
	      "Packets, bytes and records that the books cannot account for; 0 is balanced.");
	head(out, "sonde_filter_instructions", "gauge", "BPF instructions of the filter; 0: there is none.");
	for (int link_type = 0; extra->filter_instructions && link_type < LINK_TYPE_MAX; link_type++)
		buf_appendf(out, "sonde_filter_instructions{link_type=\"%s\"} %" PRIu32 "\n", link_names[link_type],
		            extra->filter_instructions[link_type]);
	head(out, "sonde_bpf_run_seconds_total", "counter",
	     "Time in BPF programs; stays 0 while sysctl kernel.bpf_stats_enabled is 0.");
	buf_appendf(out, "sonde_bpf_run_seconds_total{program=\"sonde_entry\"} %.9f\n", (double)snapshot->run_ns / 1e9);
	buf_appendf(out, "sonde_bpf_run_seconds_total{program=\"sonde_sock\"} %.9f\n",
	            (double)extra->sockets_run_ns / 1e9);
	names(out, extra);
	head(out, "sonde_build_info", "gauge", "1; the version is in the label.");
	buf_appendf(out, "sonde_build_info{version=\"%s\"} 1\n", SONDE_VERSION);
	return out->error;
}
