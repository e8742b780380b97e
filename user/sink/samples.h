/* SPDX-License-Identifier: Apache-2.0 */
/* Packet samples as a capture file: an interface a (host, interface, link type), packets that name their pods. */
#pragma once

#include <stdbool.h>
#include "user/sink/ndjson.h"

#define SAMPLES_REASON_MAX 128

struct samples;

/* 0 or -ENOMEM. */
int samples_new(struct samples **ret_samples);
void samples_free(struct samples *samples);
DEFINE_CLEANUP(struct samples *, samples_free)

/* Is the record a packet sample: sonde.packet, with bytes as its body? */
bool is_sample(const struct record_view *view);

/* A new file is begun: forgets all interfaces, and appends the section header. 0 or OUT's error. */
int samples_begin_file(struct samples *samples, struct buf *out);

/*
 * Appends the packet, and its interface where that is new. 0; -EBADMSG: what it is cannot be told (REASON says why, for
 * the sender); -ENOMEM or OUT's error.
 */
int samples_put(struct samples *samples, const struct record_view *view, struct buf *out,
                char reason[static SAMPLES_REASON_MAX]);

/* What was put since the last call of either is in the file, or is not. */
void samples_commit(struct samples *samples);
void samples_rollback(struct samples *samples);

/* So many interfaces that a new file should be begun (between transactions): readers keep a table of them. */
bool samples_full(const struct samples *samples);
