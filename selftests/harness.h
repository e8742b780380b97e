/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs packets through the sensor's own BPF programs (BPF_PROG_TEST_RUN): in at the entry stub of a hook, over the tail
 * call, to every effect in the maps. Nothing is attached or pinned. All functions fail the test that calls them.
 *
 * What the kernel's test run cannot do: frames of less than 14 bytes, of less than 34 with EtherType IPv4 or 54 with
 * IPv6 (tests put those behind a VLAN tag, or at a hook without link header), of more than 3,712; headers outside the
 * linear area; VLAN tags in metadata. The tests with real traffic (selftests/net) see to those.
 */
#pragma once

#include "bpf/books.h"
#include "bpf/config.h"
#include "selftests/packet.h"
#include "user/loader.h"
#include "user/ring.h"

/*
 * The hooks there are, in both directions: Ethernet interfaces at the host's edge, one inside of it, one above others, and
 * one without link header.
 */
enum hook {
	POD_IN,
	POD_OUT,
	NIC_IN,
	NIC_OUT,
	TUN_IN,
	TUN_OUT,
	NIC2_IN,
	NIC2_OUT,
	INNER_IN,
	INNER_OUT,
	BRIDGE_IN,
	BRIDGE_OUT,
	HOOKS
};
#define HOOK_IFACE_ID(hook)  (11U + (hook) / DIRECTION_MAX)
#define HOOK_DIRECTION(hook) ((hook) % DIRECTION_MAX)
#define HOOK_STATS(hook)     (DIRECTION_MAX + (uint32_t)(hook))
#define HOOK_PLACE(hook)     ((hook) < INNER_IN ? PLACE_EDGE : (hook) < BRIDGE_IN ? PLACE_INNER : PLACE_UPPER)
#define HOOK_NUMBER(hook) \
	hook_number(HOOK_IFACE_ID(hook), HOOK_PLACE(hook), HOOK_DIRECTION(hook)) /* as in struct flow_end */
#define HOOK_LINK_TYPE(hook) ((hook) / DIRECTION_MAX == TUN_IN / DIRECTION_MAX ? LINK_RAW_IP : LINK_ETHERNET)

#define HARNESS_RECORDS_MAX 64

struct harness {
	struct sensor_bpf *skeleton;
	struct loader loader;   /* as much of one as entry_load wants */
	int entry[HOOKS], main; /* programs */
	struct ring *ring;
	struct flow_slot *slots; /* mapped; n_slots of them */
	size_t n_slots;
	uint64_t ring_position;
	void *records[HARNESS_RECORDS_MAX]; /* copies of those that the last harness_drain found */
	size_t n_records;
};

struct harness_options {
	uint32_t flows_max, ring_bytes; /* 0: 64 entries, 64 KiB */
	struct sensor_config config;    /* idle_timeout_ns 0: 15 s */
};

struct harness *harness_open(const struct harness_options *options);
void harness_free(struct harness *harness);
DEFINE_CLEANUP(struct harness *, harness_free)

/* The descriptor of a map; stays the harness's. */
int harness_map(const struct harness *harness, const char *name);

/* Puts PROGRAM (-1: nothing) into both slots of `filters`, where the main program is at first. */
void harness_filters(const struct harness *harness, int program);

/* How a frame comes to a program. */
struct delivery {
	uint32_t gso_size, gso_segs;
	uint32_t cb[5];
	uint64_t tstamp; /* ns; what the time is for a program in a replay */
};
/* The program's return value. */
int program_run(int program, const struct frame *frame, const struct delivery *delivery);

/* Counters, summed over CPUs. INDEX: HOOK_STATS(). */
struct hook_stats harness_hook_stats(const struct harness *harness, uint32_t index);
struct record_stats harness_record_stats(const struct harness *harness, enum record_kind kind);

/* Takes all records out of the ring, into records[]. */
void harness_drain(struct harness *harness);
/* The one at INDEX of those of KIND in records[]; NULL: there are fewer. */
const void *harness_record(const struct harness *harness, enum record_kind kind, size_t index);

/* Adds to FLOW, as the table has it, what the slots have of it. */
void harness_add_slots(const struct harness *harness, struct flow *flow);

/* Moves all flows into the past: for the programs, so much time passes. */
void harness_pass_ms(const struct harness *harness, uint64_t ms);

/* Empties tables and ring, and zeroes all counters. */
void harness_clear(struct harness *harness);
