/* SPDX-License-Identifier: Apache-2.0 */
/* From what the kernel wrote to records: checked, in Unix time, from initiator to responder, with names. */
#pragma once

#include "user/enrich.h"
#include "user/ifaces.h"
#include "user/record.h"

/* Where names come from; each may be NULL, then there are fewer, or none. */
struct decoder {
	const struct ifaces *ifaces;
	struct enrich *enrich;
	const struct sensor_maps *maps; /* that the events come from */
	bool unix_clock;                /* the programs run by Unix time already: a capture's */
};

/*
 * A record of the ring: 0 and a new record, which may have to wait for names (record->unnamed); -EBADMSG: not of this
 * EVENT_VERSION, of no known kind, or its sizes or numbers do not fit; -ENOMEM.
 */
int decode_event(const struct decoder *decoder, const void *data, size_t size, struct record **ret_record);

/* A flow of the table, and what a record of it shall tell. */
struct flow_part {
	const struct flow_key *key;
	const struct flow *flow;
	const struct flow_details *details; /* what is known of it beyond its totals; NULL: nothing */
	const struct totals *delta;         /* what was not reported yet, per end of the key */
	uint64_t from_ns; /* CLOCK_MONOTONIC: of the last record, or of the flow's start before the first */
	enum flow_reason reason;
};

/* A new record, which may have to wait for names, or NULL: out of memory. */
struct record *decode_flow(const struct decoder *decoder, const struct flow_part *part);
