/* SPDX-License-Identifier: Apache-2.0 */
/* A BPF test is a row: a packet, the verdict, every effect. What a row does not name must not happen. */
#pragma once

#include "selftests/harness.h"

#define ROW_FLOWS 3

struct row {
	const char *name;
	struct layer packet[LAYERS_MAX];
	enum verdict verdict;
	/*
	 * The whole flow table afterwards, in any order. "tcp 10.0.0.1:40000 (3 180 SA) -> 10.0.0.2:443 (2 120 SA)": the
	 * ends in the key's order; what each sent in packets, bytes and TCP flags; the arrow leads from the initiator to
	 * the responder. Behind it the segment, if any: " vlan 5", " vlan 5.7", " vxlan 7", " ipip 0"; " generation 2" for
	 * those above 1, and " closed".
	 */
	const char *flows[ROW_FLOWS];
	enum hook hook;
	uint16_t gso_size, gso_segs;
	uint32_t packets;          /* wire packets it stands for; 0: one */
	uint32_t samples;          /* packet records */
	enum sample_reason reason; /* of all of them */
	uint32_t full;             /* table_full records */
	uint32_t lost;             /* records of either kind that the ring had no room for */
	uint64_t after_ms;         /* so much time passes before it */
};

/*
 * Sends the packet in at the hook's entry stub and checks all of the row, and that the books balance: what is seen has
 * one verdict, what is observed is in the table or in table_full records, what is produced is in the ring or lost.
 */
void row_run(struct harness *harness, const struct row *row);

/* Each row by itself: nothing is left of one when the next one begins. */
void rows_run_each(struct harness *harness, const struct row *rows, size_t n);

/* One row on what the former ones left, from an empty table on. */
void rows_run_story(struct harness *harness, const struct row *rows, size_t n);
#define STORY(harness, ...)                                                            \
	do {                                                                           \
		static const struct row story_[] = { __VA_ARGS__ };                    \
		rows_run_story((harness), story_, sizeof(story_) / sizeof(story_[0])); \
	} while (0)
