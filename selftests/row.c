// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/row.h"
#include "user/buf.h"
#include "user/clock.h"

#define TEXT_MAX 256

static const char *const verdict_names[] = VERDICT_NAMES;

/* All counters that a packet may move, and the totals in the table. */
struct sums {
	struct hook_stats hooks[HOOKS];
	struct record_stats records[RECORD_KIND_MAX];
	uint64_t table_packets, table_bytes;
	uint32_t flows;
	char text[ROW_FLOWS + 1][256];
};

static void expect(const struct row *row, const char *what, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		fail_msg("\"%s\": %s: %" PRIu64 ", not %" PRIu64, row->name, what, got, wanted);
}

static const char *protocol_name(uint8_t protocol, char space[static 4])
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	case IPPROTO_SCTP:
		return "sctp";
	default:
		snprintf(space, 4, "%hhu", protocol);
		return space;
	}
}

static void end_text(struct buf *out, const struct flow_key *key, const struct flow *flow, unsigned end)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	const struct flow_end *sent = &flow->end[end];
	char address[INET6_ADDRSTRLEN];

	if (key->ip_version == 4) {
		assert_memory_equal(key->addr[end], mapped, sizeof(mapped));
		inet_ntop(AF_INET, key->addr[end] + 12, address, sizeof(address));
		buf_appendf(out, "%s:%u", address, ntohs(key->port[end]));
	} else {
		inet_ntop(AF_INET6, key->addr[end], address, sizeof(address));
		buf_appendf(out, "[%s]:%u", address, ntohs(key->port[end]));
	}
	buf_appendf(out, " (%llu %llu%s", sent->packets, sent->bytes, sent->tcp_flags ? " " : "");
	for (unsigned bit = 0; bit < 8; bit++)
		if (sent->tcp_flags & 1 << bit)
			buf_append(out, &"FSRPAUEC"[bit], 1);
	buf_append(out, ")", 1);
}

/* What sets the tuple apart: " vlan 5", of two tags " vlan 5.7", " vxlan 7", ... */
static void segment_text(struct buf *out, const struct flow_key *key)
{
	static const char *const kinds[] = SEGMENT_KIND_NAMES;

	assert_in_range(key->segment_kind, 0, SEGMENT_KIND_MAX - 1);
	if (key->segment_kind == SEGMENT_NONE)
		assert_int_equal(key->segment, 0);
	else if (key->segment_kind == SEGMENT_VLAN && key->segment >> 16)
		buf_appendf(out, " vlan %u.%u", key->segment >> 16, key->segment & 0xffff);
	else
		buf_appendf(out, " %s %u", kinds[key->segment_kind], key->segment);
}

static void flow_text(const struct flow_key *key, const struct flow *flow, char *text, size_t size)
{
	struct buf out = BUF_INIT(TEXT_MAX);
	char space[4];

	buf_appendf(&out, "%s ", protocol_name(key->protocol, space));
	end_text(&out, key, flow, 0);
	buf_appendf(&out, flow->initiator ? " <- " : " -> ");
	end_text(&out, key, flow, 1);
	segment_text(&out, key);
	if (flow->generation != 1)
		buf_appendf(&out, " generation %u", flow->generation);
	if (flow->closed_ns)
		buf_appendf(&out, " closed");
	snprintf(text, size, "%s", buf_text(&out));
	buf_free(&out);
}

static void read_table(const struct harness *harness, struct sums *sums)
{
	int map = harness_map(harness, "flows");
	struct flow_key key;
	struct flow flow;

	for (void *from = NULL; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
		assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
		harness_add_slots(harness, &flow);
		for (unsigned end = 0; end < 2; end++) {
			sums->table_packets += flow.end[end].packets;
			sums->table_bytes += flow.end[end].bytes;
		}
		if (sums->flows < ROW_FLOWS)
			flow_text(&key, &flow, sums->text[sums->flows], sizeof(sums->text[0]));
		sums->flows++;
	}
}

static void read_sums(const struct harness *harness, struct sums *ret_sums)
{
	memset(ret_sums, 0, sizeof(*ret_sums));
	for (unsigned hook = 0; hook < HOOKS; hook++)
		ret_sums->hooks[hook] = harness_hook_stats(harness, HOOK_STATS(hook));
	for (unsigned kind = 0; kind < RECORD_KIND_MAX; kind++)
		ret_sums->records[kind] = harness_record_stats(harness, kind);
	read_table(harness, ret_sums);
}

/* The hook's counters moved by this packet and its verdict, those of the others did not. */
static void check_hooks(const struct row *row, const struct sums *before, const struct sums *after)
{
	uint32_t packets = row->packets ? row->packets : 1;

	for (unsigned hook = 0; hook < HOOKS; hook++) {
		const struct hook_stats *old = &before->hooks[hook], *new = &after->hooks[hook];
		uint64_t mine = hook == row->hook ? packets : 0, sum = 0;
		for (unsigned verdict = 0; verdict < VERDICT_MAX; verdict++) {
			expect(row, verdict_names[verdict], new->verdicts[verdict] - old->verdicts[verdict],
			       verdict == row->verdict ? mine : 0);
			sum += new->verdicts[verdict];
		}
		expect(row, "seen", new->seen - old->seen, mine);
		expect(row, "seen, against the sum of verdicts", new->seen, sum);
		expect(row, "table_full packets", new->table_full_packets - old->table_full_packets,
		       row->full ? mine : 0);
	}
}

/* Between packets and flows: observed = in the table + table_full, in packets and in bytes. */
static void check_totals(const struct row *row, const struct sums *before, const struct sums *after)
{
	const struct hook_stats *old = &before->hooks[row->hook], *new = &after->hooks[row->hook];

	expect(row, "packets observed, against the flow table",
	       new->verdicts[VERDICT_OBSERVED] - old->verdicts[VERDICT_OBSERVED],
	       after->table_packets - before->table_packets + new->table_full_packets - old->table_full_packets);
	expect(row, "bytes observed, against the flow table", new->bytes_observed - old->bytes_observed,
	       after->table_bytes - before->table_bytes + new->table_full_bytes - old->table_full_bytes);
}

static void check_table(const struct row *row, const struct sums *after)
{
	uint32_t wanted = 0;

	while (wanted < ROW_FLOWS && row->flows[wanted])
		wanted++;
	for (uint32_t i = 0; i < wanted; i++) {
		uint32_t j = 0;
		while (j < after->flows && j < ROW_FLOWS && strcmp(row->flows[i], after->text[j]) != 0)
			j++;
		if (j == after->flows || j == ROW_FLOWS)
			fail_msg("\"%s\": not in the table: %s\nbut: %s\n%s\n%s", row->name, row->flows[i],
			         after->text[0], after->text[1], after->text[2]);
	}
	if (after->flows != wanted)
		fail_msg("\"%s\": %u flows, not %u: %s\n%s\n%s", row->name, after->flows, wanted, after->text[0],
		         after->text[1], after->text[2]);
}

static void check_header(const struct row *row, const struct event_header *header, uint64_t began_ns)
{
	expect(row, "version", header->version, EVENT_VERSION);
	expect(row, "iface_id", header->iface_id, HOOK_IFACE_ID(row->hook));
	if (header->time_ns < began_ns || header->time_ns > clock_monotonic_ns())
		fail_msg("\"%s\": the record's time is not now", row->name);
}

/* produced = in the ring + lost, and each record's header is right. */
static void check_records(struct harness *harness, const struct row *row, const struct sums *before,
                          const struct sums *after, uint64_t began_ns)
{
	uint64_t count[RECORD_KIND_MAX] = { 0 }, lost = 0;

	harness_drain(harness);
	for (size_t i = 0; i < harness->n_records; i++) {
		const struct event_header *header = harness->records[i];
		check_header(row, header, began_ns);
		assert_true(header->kind < RECORD_KIND_MAX);
		count[header->kind]++;
		if (header->kind == RECORD_PACKET)
			expect(row, "reason", ((const struct packet_event *)header)->reason, row->reason);
	}
	for (unsigned kind = 0; kind < RECORD_KIND_MAX; kind++) {
		const struct record_stats *old = &before->records[kind], *new = &after->records[kind];
		uint64_t lost_here = new->lost_ring - old->lost_ring;
		expect(row, "records produced, against ring and loss", new->produced - old->produced,
		       count[kind] + lost_here);
		lost += lost_here;
	}
	expect(row, "samples", count[RECORD_PACKET], row->samples);
	expect(row, "table_full records", count[RECORD_FLOW], row->full);
	expect(row, "records lost", lost, row->lost);
}

void row_run(struct harness *harness, const struct row *row)
{
	const struct delivery delivery = { .gso_size = row->gso_size, .gso_segs = row->gso_segs };
	struct sums before, after;
	struct frame frame;

	packet_build(row->packet, &frame);
	if (row->after_ms)
		harness_pass_ms(harness, row->after_ms);
	read_sums(harness, &before);
	uint64_t began_ns = clock_monotonic_ns();
	int r = program_run(harness->entry[row->hook], &frame, &delivery);
	if (r != -1)
		fail_msg("\"%s\": the program returned %d, not TC_ACT_UNSPEC", row->name, r);
	read_sums(harness, &after);

	check_hooks(row, &before, &after);
	check_table(row, &after);
	check_totals(row, &before, &after);
	check_records(harness, row, &before, &after, began_ns);
}

void rows_run_each(struct harness *harness, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		harness_clear(harness);
		row_run(harness, &rows[i]);
	}
}

void rows_run_story(struct harness *harness, const struct row *rows, size_t n)
{
	harness_clear(harness);
	for (size_t i = 0; i < n; i++)
		row_run(harness, &rows[i]);
}
