// SPDX-License-Identifier: Apache-2.0
/* Measures the candidate shapes of the flow table beside each other: see bench_table.bpf.c and docs/flow-table.md. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bench_table.skel.h"
#include "user/cleanup.h"

#define ROUNDS  5
#define REPEATS 400000

static const char *const shapes[] = { "shape_key", "shape_hash", "shape_lru_percpu", "shape_slot_evict",
	                              "shape_slot_lease" };
static const char *const shape_names[] = { "key only", "hash, atomics", "LRU per CPU", "slots, evicting",
	                                   "slots, leased" };
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static const struct load {
	const char *name;
	unsigned flows, cpus;
	bool cold; /* measured from an empty table on: each packet is a new flow's */
} loads[] = {
	{ "1 flow", 1, 1, false },
	{ "1 flow, 2 CPUs", 1, 2, false },
	{ "4,096 flows", 4096, 1, false },
	{ "50,000 flows", 50000, 1, false },
	{ "new flow a packet", 1 << 30, 1, true },
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

struct runner {
	pthread_t thread;
	int program;
	unsigned cpu;
	__u32 ns;
};

/* The kernel's own average, ns a packet. */
static __u32 run(int program, int repeats)
{
	unsigned char frame[64] = { [12] = 0x08, [14] = 0x45 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame), .repeat = repeats);
	if (bpf_prog_test_run_opts(program, &options) < 0) {
		perror("bench_table: BPF_PROG_TEST_RUN");
		exit(EXIT_FAILURE);
	}
	return options.duration;
}

static void *run_on_cpu(void *data)
{
	struct runner *runner = data;
	cpu_set_t cpu;
	CPU_ZERO(&cpu);
	CPU_SET(runner->cpu, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	runner->ns = run(runner->program, REPEATS);
	return NULL;
}

static __u32 measure(const struct load *load, const char *shape)
{
	struct bench_table_bpf *skeleton = bench_table_bpf__open();
	unsigned cpus = load->cpus > 1 ? 2 : 1;
	struct runner runners[2];
	__u32 ns = 0;

	if (!skeleton)
		exit(EXIT_FAILURE);
	skeleton->rodata->flows_in_use = load->flows;
	if (bench_table_bpf__load(skeleton) != 0)
		exit(EXIT_FAILURE);
	int program = bpf_program__fd(bpf_object__find_program_by_name(skeleton->obj, shape));
	if (!load->cold)
		run(program, (int)load->flows * 2);
	for (unsigned i = 0; i < cpus; i++) {
		runners[i] = (struct runner) { .program = program, .cpu = i };
		if (pthread_create(&runners[i].thread, NULL, run_on_cpu, &runners[i]) != 0)
			exit(EXIT_FAILURE);
	}
	for (unsigned i = 0; i < cpus; i++) {
		pthread_join(runners[i].thread, NULL);
		ns += runners[i].ns;
	}
	bench_table_bpf__destroy(skeleton);
	return ns / cpus;
}

static int compare(const void *a, const void *b)
{
	return (int)*(const __u32 *)a - (int)*(const __u32 *)b;
}

int main(void)
{
	__u32 ns[LOADS][SHAPES][ROUNDS];

	for (int round = 0; round < ROUNDS; round++)
		for (size_t load = 0; load < LOADS; load++)
			for (size_t shape = 0; shape < SHAPES; shape++)
				ns[load][shape][round] = measure(&loads[load], shapes[shape]);
	printf("ns a packet, medians of %d interleaved rounds of %d packets each\n\n  %-20s", ROUNDS, REPEATS, "");
	for (size_t shape = 0; shape < SHAPES; shape++)
		printf(" %16s", shape_names[shape]);
	for (size_t load = 0; load < LOADS; load++) {
		printf("\n  %-20s", loads[load].name);
		for (size_t shape = 0; shape < SHAPES; shape++) {
			qsort(ns[load][shape], ROUNDS, sizeof(__u32), compare);
			printf(" %16u", ns[load][shape][ROUNDS / 2]);
		}
	}
	printf("\n");
	return EXIT_SUCCESS;
}
