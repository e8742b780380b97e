/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the ends of records: asked for when a record is made, and again while there may be more of them in a moment
 * (the kubelet makes a pod's directories a little after its first packets). Records that wait are in the queue, set aside.
 */
#pragma once

#include "user/enrich.h"
#include "user/queue.h"

#define NAMING_PATIENCE_NS (2ULL * 1000000000) /* how long a record waits */
#define NAMING_MAX         8192                /* records that wait from one naming_retry to the next */

/* What it takes to ask again; per end, source first. */
struct unnamed {
	struct enrich_end end[2];
	bool open[2];      /* more may be known of it in a moment */
	uint64_t since_ns; /* CLOCK_MONOTONIC: when it was asked for first, ... */
	uint64_t retry_ns; /* ... and not again before */
};

/* Gives RECORD the owners of its ends, END[0] being the source; sets RECORD->unnamed where it is worth waiting for more. */
void record_name(struct record *record, struct enrich *enrich, const struct enrich_end end[static 2]);

/*
 * Asks again for the records that wait in QUEUE, and lets those go that have their names or have waited for long enough;
 * LAST: all of them. To be called every 100 ms, and with LAST before the queue is emptied for good. ENRICH may be NULL. On
 * the thread that pushes.
 */
void naming_retry(struct queue *queue, struct enrich *enrich, bool last);
