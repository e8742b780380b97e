// SPDX-License-Identifier: Apache-2.0
/*
 * Recovery: the maps were taken over from a loader that did not stop cleanly. What it had received but not settled was in
 * its memory and is gone; the books know how much.
 */
#include <inttypes.h>
#include "user/sensor_internal.h"

/* The account's difference goes to dropped{crash}: received = acked + queued + dropped holds again, with queued = 0. */
static uint64_t write_off(struct record_account *account)
{
	uint64_t settled = account->acked;
	for (int reason = 0; reason < DROP_REASON_MAX; reason++)
		settled += account->dropped[reason];
	uint64_t missing = account->received > settled ? account->received - settled : 0;
	account->dropped[DROP_CRASH] += missing;
	return missing;
}

void sensor_recover(struct sensor *sensor)
{
	uint64_t missing = 0;
	struct books_state *state = books_begin(sensor->books);
	for (int kind = 0; kind < RECORD_KIND_MAX; kind++)
		missing += write_off(&state->kinds[kind]);
	/* What was taken from the ring but not committed is still there, since its space was not given back. */
	sensor->ring_position = state->ring_position;
	books_commit(sensor->books);
	ring_release(sensor->ring, sensor->ring_position);
	if (missing)
		log_warn("the sensor before was killed with records in memory; they are booked as dropped{crash}",
		         "records", LOG_FMT("%" PRIu64, missing));
}
