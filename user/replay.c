// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/ethernet.h>
#include "bpf/config.h"
#include "user/parse_user.h"
#include "user/readout.h"
#include "user/replay.h"
#include "user/ring.h"
#include "user/sensor_internal.h"

/* The one tap. */
#define IFACE_ID 1
#define STATS    (1 * DIRECTION_MAX + DIRECTION_INGRESS)
#define HOOK     hook_number(IFACE_ID, PLACE_EDGE, DIRECTION_INGRESS)

/* The longest frame that a test run takes: a page without the space it keeps before and behind. */
#define RUN_MAX 3712
/* The shortest that it takes whatever the frame says it is: Ethernet and IPv6 headers. */
#define RUN_MIN 54

/* Records of one step of the readout, and more: the queue is emptied after each. */
#define QUEUE_RECORDS 8192
#define QUEUE_BYTES   (16U << 20)

struct replay {
	struct loader *loader;
	int entry[LINK_TYPE_MAX];
	struct classic_program filter[LINK_TYPE_MAX]; /* for short frames; n 0: there is none */
	bool refuses[LINK_TYPE_MAX];                  /* the expression matches nothing on this link type */
	struct ring *ring;
	uint64_t ring_position;
	struct books *books;
	struct queue *queue;
	struct readout *readout;
	struct decoder decoder;

	uint64_t clock_ns; /* of the latest frame; 0: none yet */
	uint64_t pass_ns;  /* when the table was read last */
	uint64_t interval_ns;
	struct replay_flows *flows;
	struct replay_result result; /* verdicts: those that no program has counted */
	int error;                   /* of take_event */
};

static struct loader_options private_options(const struct settings *settings)
{
	struct loader_options options = sensor_loader_options(settings);
	options.bpffs = NULL;
	options.config.replay = 1;
	/* What they ask is about this host, now. */
	options.config.namespaces = 0;
	options.config.conntrack = 0;
	return options;
}

static int open_filter(struct replay *replay, const char *expression, struct buf *reason)
{
	if (filter_is_empty(expression))
		return 0;
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		int r = filter_compile(expression, (enum link_type)link_type, &replay->filter[link_type], reason);
		if (r < 0 && (r != -EINVAL || link_type == LINK_ETHERNET))
			return r;
		replay->refuses[link_type] = r < 0;
	}
	return 0;
}

static int open_kernel(struct replay *replay, const struct settings *settings, struct buf *reason)
{
	const struct loader_options options = private_options(settings);
	int r = loader_open(&options, &replay->loader);
	if (r < 0) {
		buf_reset(reason);
		buf_appendf(reason, "%s", loader_messages());
		return r;
	}
	for (int link_type = 0; link_type < LINK_TYPE_MAX && r == 0; link_type++) {
		const struct entry entry = { .hook = HOOK, .stats_index = STATS, .link_type = link_type };
		r = entry_load(replay->loader, &entry, &replay->entry[link_type]);
	}
	if (r == 0)
		r = ring_open(replay->loader->maps.ring, replay->loader->maps.ring_bytes, &replay->ring);
	if (r == 0)
		r = books_open(replay->loader->maps.books, &replay->books);
	return r;
}

static int open_readout(struct replay *replay, const struct settings *settings)
{
	int r = queue_new(replay->books, QUEUE_RECORDS, QUEUE_BYTES, &replay->queue);
	if (r < 0)
		return r;
	struct readout_options options = {
		.maps = &replay->loader->maps,
		.books = replay->books,
		.queue = replay->queue,
		.queue_books = replay->books,
		.decoder = replay->decoder,
		.active_timeout_ns = settings->flows.active_timeout,
		.idle_timeout_ns = settings->flows.idle_timeout,
		.clock_ns = &replay->clock_ns,
	};
	return readout_open(&options, &replay->readout);
}

/* Slots, rate limits and rings are per CPU: a thread that moved would see them change places. */
static int stay_on_cpu(void)
{
	cpu_set_t here;
	int cpu = sched_getcpu();
	if (cpu < 0)
		return -errno;
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	return sched_setaffinity(0, sizeof(here), &here) < 0 ? -errno : 0;
}

int replay_open(const struct settings *settings, const char *interface, struct buf *reason, struct replay **ret_replay)
{
	_cleanup_(replay_freep) struct replay *replay = calloc(1, sizeof(*replay));
	if (!replay)
		return -ENOMEM;
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++)
		replay->entry[link_type] = -1;
	replay->decoder.unix_clock = true;
	replay->interval_ns = settings->flows.interval;
	replay->flows = replay_flows_new(interface);
	if (!replay->flows)
		return -ENOMEM;

	int r = stay_on_cpu();
	if (r == 0)
		r = open_filter(replay, settings->filter, reason);
	if (r == 0)
		r = open_kernel(replay, settings, reason);
	if (r == 0)
		r = open_readout(replay, settings);
	if (r < 0)
		return r;
	*ret_replay = TAKE_PTR(replay);
	return 0;
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	readout_free(replay->readout);
	if (replay->queue)
		queue_free(replay->queue, DROP_SHUTDOWN);
	books_free(replay->books);
	ring_free(replay->ring);
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		closep(&replay->entry[link_type]);
		classic_free(&replay->filter[link_type]);
	}
	loader_free(replay->loader);
	replay_flows_free(replay->flows);
	free(replay);
}

/* Takes what the readout put into the queue. */
static int take_flows(struct replay *replay)
{
	_cleanup_(record_list_clear) struct record_list list = { 0 };
	struct queue_outcome outcome = { 0 };
	struct record *record;
	int r = 0;

	if (!queue_take(replay->queue, QUEUE_RECORDS, QUEUE_BYTES, record_size, &list))
		return 0;
	outcome.acked[RECORD_FLOW] = list.records;
	while (r == 0 && (record = record_list_pop(&list)))
		r = replay_flows_add(replay->flows, record);
	queue_settle(replay->queue, &outcome);
	return r;
}

static int pass(struct replay *replay, bool flush)
{
	int more, r = 0;
	replay->pass_ns = replay->clock_ns;
	readout_begin(replay->readout, flush);
	do {
		more = readout_step(replay->readout);
		if (more >= 0)
			r = take_flows(replay);
	} while (more > 0 && r == 0);
	return more < 0 ? more : r;
}

static void take_event(const void *data, size_t size, void *replay_data)
{
	struct replay *replay = replay_data;
	struct record *record;
	int r = decode_event(&replay->decoder, data, size, &record);

	if (r == 0 && record->kind == RECORD_FLOW) {
		r = replay_flows_add(replay->flows, record);
	} else if (r == 0) {
		replay->result.samples++;
		replay->result.sampled_bytes += record->packet.captured_length;
		record_free(record);
	}
	if (r < 0 && !replay->error)
		replay->error = r;
}

/* All that the ring holds, after each frame: it never fills up. */
static int drain(struct replay *replay)
{
	if (ring_read(replay->ring, &replay->ring_position, SIZE_MAX, take_event, replay))
		ring_release(replay->ring, replay->ring_position);
	return replay->error;
}

/* Does the kernel refuse to run this frame? It looks at an EtherType, whether there is an Ethernet header or not. */
static bool is_short(const struct capture_frame *frame)
{
	if (frame->captured < ETHER_HDR_LEN)
		return true;
	switch (frame->data[12] << 8 | frame->data[13]) {
	case ETHERTYPE_IP:
		return frame->captured < ETHER_HDR_LEN + 20;
	case ETHERTYPE_IPV6:
		return frame->captured < ETHER_HDR_LEN + 40;
	default:
		return false;
	}
}

static int run(const struct replay *replay, int program, const struct capture_frame *frame)
{
	struct __sk_buff context = {
		.tstamp = replay->clock_ns,
		.cb = {
			/* The entry stub writes all but the last of these itself. */
			[CB_HOOK] = HOOK,
			[CB_STATS] = STATS,
			[CB_LINK] = LINK_WORD(frame->link_type, 0),
			[CB_PACKETS] = 1,
			[CB_LENGTH] = frame->length,
		},
	};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->data,
	            .data_size_in = frame->captured < RUN_MAX ? frame->captured : RUN_MAX, .ctx_in = &context,
	            .ctx_size_in = sizeof(context), .repeat = 1);
	return bpf_prog_test_run_opts(program, &options) < 0 ? -errno : 0;
}

/*
 * Too short for a test run. This is the one place where libpcap decides about a packet, and where the parser runs outside
 * of the kernel. What both let pass (a small packet without a link header) goes into the main program after all, with
 * zeros behind its end and its true length.
 */
static int run_short(struct replay *replay, const struct capture_frame *frame)
{
	const struct classic_program *filter = &replay->filter[frame->link_type];
	uint8_t padded[RUN_MIN] = { 0 };
	enum verdict verdict = VERDICT_FILTERED;

	if (!replay->refuses[frame->link_type] && (!filter->n || capture_matches(filter, frame)))
		verdict = parse_user(frame->link_type, frame->data, frame->captured, frame->length);
	if (verdict != VERDICT_OBSERVED) {
		replay->result.verdicts[verdict]++;
		return 0;
	}
	struct capture_frame whole = *frame;
	memcpy(padded, frame->data, frame->captured);
	whole.data = padded;
	whole.captured = sizeof(padded);
	return run(replay, replay->loader->main, &whole);
}

int replay_frame(struct replay *replay, const struct capture_frame *frame)
{
	int r = 0;

	if (!replay->clock_ns)
		replay->pass_ns = frame->time_ns;
	/* From 1 on: to the programs, 0 is "never". */
	if (frame->time_ns > replay->clock_ns || !replay->clock_ns)
		replay->clock_ns = frame->time_ns ? frame->time_ns : 1;
	if (replay->clock_ns - replay->pass_ns >= replay->interval_ns)
		r = pass(replay, false);
	if (r < 0)
		return r;

	replay->result.packets++;
	r = is_short(frame) ? run_short(replay, frame) : run(replay, replay->entry[frame->link_type], frame);
	return r < 0 ? r : drain(replay);
}

static int add_verdicts(const struct replay *replay, struct replay_result *result)
{
	const uint32_t index = STATS;
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct hook_stats *stats = calloc((size_t)cpus, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	if (bpf_map_lookup_elem(replay->loader->maps.iface_stats, &index, stats) < 0)
		return -errno;

	uint64_t sum = 0;
	for (int verdict = 0; verdict < VERDICT_MAX; verdict++) {
		for (int cpu = 0; cpu < cpus; cpu++)
			result->verdicts[verdict] += stats[cpu].verdicts[verdict];
		sum += result->verdicts[verdict];
	}
	return sum == result->packets ? 0 : -EPROTO;
}

int replay_finish(struct replay *replay, struct replay_result *ret_result)
{
	/* A sensor would have gone on a little: what ended with the capture has ended, and was not interrupted. */
	replay->clock_ns += FLOW_GRACE_NS;
	int r = pass(replay, true);
	if (r < 0)
		return r;
	struct replay_result result = replay->result;
	result.flows = replay->flows;
	r = add_verdicts(replay, &result);
	if (r < 0)
		return r;
	*ret_result = result;
	return 0;
}
