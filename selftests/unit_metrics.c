// SPDX-License-Identifier: Apache-2.0
/* Metrics: each number of a snapshot under its name, in the Prometheus text format, with bounded series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/snapshot_sample.h"
#include "user/enrich.h"
#include "user/metrics.h"
#include "version.h"

static const uint64_t misses[ENRICH_MISS_MAX] = { 31, 32, 33, 34, 35, 36 };
static const uint32_t instructions[LINK_TYPE_MAX] = { 4711, 815 };
static const struct pod_list_status pods = { .up = true, .refreshes = 5, .failures = 6, .pods = 42 };
static const struct metrics_extra extra = {
	.flows_max = 262144,
	.filter_instructions = instructions,
	.enrich_misses = misses,
	.pods = &pods,
	.sockets_run_ns = 250000000,
	.cgroup_rereads = 3,
};

struct fixture {
	struct snapshot snapshot;
	struct buf page;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	snapshot_sample(&fixture->snapshot);
	fixture->page = BUF_INIT(1 << 20);
	*state = fixture;
	return metrics_format(&fixture->snapshot, &extra, &fixture->page);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	snapshot_clear(&fixture->snapshot);
	buf_free(&fixture->page);
	free(fixture);
	return 0;
}

/* LINE is in PAGE once, as a line of its own. */
static void assert_line(const struct buf *page, const char *line)
{
	size_t size = strlen(line), found = 0;
	for (const char *at = buf_text(page); (at = strstr(at, line)); at += size)
		found += (at == buf_text(page) || at[-1] == '\n') && at[size] == '\n';
	if (found != 1)
		fail_msg("%zu times in the page: %s", found, line);
}

static void assert_series(const struct buf *page, const char *series, uint64_t value)
{
	char line[256];
	snprintf(line, sizeof(line), "%s %" PRIu64, series, value);
	assert_line(page, line);
}

static void test_hooks(void **state)
{
	const struct fixture *fixture = *state;
	const struct hook_stats *in = &fixture->snapshot.ifaces[0].stats[DIRECTION_INGRESS];
	const struct hook_stats *out = &fixture->snapshot.ifaces[1].stats[DIRECTION_EGRESS];
	const struct hook_stats *gone = &fixture->snapshot.departed[DIRECTION_EGRESS];
	const struct buf *page = &fixture->page;

#define ETH0 "{interface=\"eth0\",direction=\"ingress\"}"
#define ODD  "{interface=\"a\\\"b\\\\c?\",direction=\"egress\"}"
#define GONE "{interface=\"(departed)\",direction=\"egress\"}"
	assert_series(page, "sonde_packets_seen_total" ETH0, in->seen);
	assert_series(page, "sonde_packets_observed_total" ETH0, in->verdicts[VERDICT_OBSERVED]);
	assert_series(page, "sonde_bytes_observed_total" ETH0, in->bytes_observed);
	assert_series(page, "sonde_packets_seen_total" ODD, out->seen);
	assert_series(page, "sonde_packets_observed_total" GONE, gone->verdicts[VERDICT_OBSERVED]);
}

static void test_skipped(void **state)
{
	static const char *const verdicts[] = VERDICT_NAMES;
	const struct fixture *fixture = *state;
	const struct hook_stats *in = &fixture->snapshot.ifaces[0].stats[DIRECTION_INGRESS];
	char series[128];

	for (int verdict = VERDICT_OBSERVED + 1; verdict < VERDICT_MAX; verdict++) {
		snprintf(series, sizeof(series),
		         "sonde_packets_skipped_total{interface=\"eth0\",direction=\"ingress\",reason=\"%s\"}",
		         verdicts[verdict]);
		assert_series(&fixture->page, series, in->verdicts[verdict]);
	}
	assert_null(strstr(buf_text(&fixture->page), "reason=\"observed\""));
}

static void assert_reasons(const struct buf *page, const char *name, const char *kind, const char *const *reasons,
                           const uint64_t *values, size_t n)
{
	char series[128];
	for (size_t i = 0; i < n; i++) {
		snprintf(series, sizeof(series), "%s{kind=\"%s\",reason=\"%s\"}", name, kind, reasons[i]);
		assert_series(page, series, values[i]);
	}
}

static void test_records(void **state)
{
	static const char *const kinds[] = RECORD_KIND_NAMES, *const lost[] = LOST_REASON_NAMES,
				 *const dropped[] = DROP_REASON_NAMES;
	const struct fixture *fixture = *state;
	const struct buf *page = &fixture->page;

	for (size_t kind = 0; kind < RECORD_KIND_MAX; kind++) {
		const struct snapshot_records *records = &fixture->snapshot.records[kind];
		const struct {
			const char *name;
			uint64_t value;
		} numbers[] = {
			{ "emitted_total", records->produced },
			{ "received_total", records->received },
			{ "acked_total", records->acked },
			{ "queued", records->queued },
		};
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
			char series[128];
			snprintf(series, sizeof(series), "sonde_records_%s{kind=\"%s\"}", numbers[i].name, kinds[kind]);
			assert_series(page, series, numbers[i].value);
		}
		assert_reasons(page, "sonde_records_lost_total", kinds[kind], lost, records->lost, LOST_REASON_MAX);
		assert_reasons(page, "sonde_records_dropped_total", kinds[kind], dropped, records->dropped,
		               DROP_REASON_MAX);
	}
}

static void test_delivery(void **state)
{
	const struct fixture *fixture = *state;
	const struct ship_status *ship = &fixture->snapshot.ship;
	const struct buf *page = &fixture->page;

	assert_series(page, "sonde_batches_sent_total", ship->batches_sent);
	assert_series(page, "sonde_batches_retried_total", ship->batches_retried);
	assert_series(page, "sonde_export_bytes_total{stage=\"encoded\"}", ship->bytes_encoded);
	assert_series(page, "sonde_export_bytes_total{stage=\"compressed\"}", ship->bytes_compressed);
	assert_series(page, "sonde_export_bytes_total{stage=\"sent\"}", ship->bytes_sent);
	assert_line(page, "sonde_backend_up 1");
	assert_line(page, "sonde_certificate_expiry_seconds{file=\"cert\"} 1790000000");
	assert_line(page, "sonde_certificate_expiry_seconds{file=\"ca\"} 1890000000");
}

static void test_state(void **state)
{
	const struct fixture *fixture = *state;
	const struct snapshot *snapshot = &fixture->snapshot;
	const struct buf *page = &fixture->page;

	assert_line(page, "sonde_interfaces_attached 7");
	assert_line(page, "sonde_network_namespaces 5");
	assert_line(page, "sonde_network_namespaces_refused_total{reason=\"permission\"} 3");
	assert_line(page, "sonde_network_namespaces_refused_total{reason=\"full\"} 0");
	assert_line(page, "sonde_network_namespaces_refused_total{reason=\"error\"} 4");
	assert_series(page, "sonde_flows", snapshot->readout.flows);
	assert_line(page, "sonde_flow_takeovers_total 31");
	assert_line(page, "sonde_flow_takeovers_ambiguous_total 32");
	assert_line(page, "sonde_flows_max 262144");
	assert_series(page, "sonde_ring_used_bytes", snapshot->backlog.bytes);
	assert_line(page, "sonde_filter_instructions{link_type=\"ethernet\"} 4711");
	assert_line(page, "sonde_filter_instructions{link_type=\"raw_ip\"} 815");
	assert_line(page, "sonde_bpf_run_seconds_total{program=\"sonde_entry\"} 2.500000000");
	assert_line(page, "sonde_bpf_run_seconds_total{program=\"sonde_sock\"} 0.250000000");
	assert_line(page, "sonde_cgroup_rereads_total 3");
	assert_line(page, "sonde_pod_list_up 1");
	assert_line(page, "sonde_pod_list_pods 42");
	assert_line(page, "sonde_pod_list_requests_total{result=\"ok\"} 5");
	assert_line(page, "sonde_pod_list_requests_total{result=\"failed\"} 6");
	assert_line(page, "sonde_enrich_misses_total{field=\"cgroup\"} 31");
	assert_line(page, "sonde_enrich_misses_total{field=\"pod\"} 32");
	assert_line(page, "sonde_enrich_misses_total{field=\"container\"} 33");
	assert_line(page, "sonde_enrich_misses_total{field=\"process\"} 34");
	assert_line(page, "sonde_enrich_misses_total{field=\"address\"} 35");
	assert_line(page, "sonde_enrich_misses_total{field=\"conflict\"} 36");
	assert_line(page, "sonde_build_info{version=\"" SONDE_VERSION "\"} 1");
	assert_line(page, "sonde_books_difference 0");
}

static void test_what_is_not_there(void **state)
{
	const struct metrics_extra bare = { .flows_max = 1 };
	struct snapshot snapshot = { .difference = { 1, 20, 300, 4000 } };
	_cleanup_(buf_free) struct buf page = BUF_INIT(1 << 20);

	assert_int_equal(metrics_format(&snapshot, &bare, &page), 0);
	assert_line(&page, "sonde_interfaces_attached 0");
	assert_line(&page, "sonde_backend_up 0");
	assert_line(&page, "sonde_books_difference 4321");
	assert_null(strstr(buf_text(&page), "sonde_certificate_expiry_seconds{"));
	assert_null(strstr(buf_text(&page), "sonde_enrich_misses_total"));
	assert_null(strstr(buf_text(&page), "sonde_pod_list"));
}

/*
 * The format: each line is a sample of the family that was last announced, with HELP and TYPE once, in this order; the
 * page ends with a newline.
 */
static void test_format(void **state)
{
	const struct fixture *fixture = *state;
	_cleanup_(freep) char *text = strdup(buf_text(&fixture->page));
	char family[128] = "", seen[8192] = " ", *rest = text;
	bool typed = false;

	assert_int_equal(text[strlen(text) - 1], '\n');
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		char name[128], type[16];
		if (sscanf(line, "# HELP %127s", name) == 1) {
			size_t used = strlen(seen);
			snprintf(family, sizeof(family), "%s", name);
			assert_true(used + strlen(name) + 2 < sizeof(seen));
			snprintf(seen + used, sizeof(seen) - used, "%s ", name);
			typed = false;
			char spaced[130];
			snprintf(spaced, sizeof(spaced), " %s ", name);
			assert_ptr_equal(strstr(seen, spaced), seen + used - 1);
		} else if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
			assert_string_equal(name, family);
			size_t size = strlen(name);
			bool total = size > 6 && strcmp(name + size - 6, "_total") == 0;
			assert_string_equal(type, total ? "counter" : "gauge");
			typed = true;
		} else {
			assert_true(typed);
			assert_int_equal(strncmp(line, family, strlen(family)), 0);
			assert_true(strchr("{ ", line[strlen(family)]) != NULL);
		}
	}
}

static void test_no_room(void **state)
{
	const struct fixture *fixture = *state;
	_cleanup_(buf_free) struct buf page = BUF_INIT(1000);
	assert_int_equal(metrics_format(&fixture->snapshot, &extra, &page), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks),   cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_records), cmocka_unit_test(test_delivery),
		cmocka_unit_test(test_state),   cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_format),  cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
