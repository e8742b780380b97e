/* SPDX-License-Identifier: Apache-2.0 */
/* From what the kernel wrote to records: checked, in Unix time, from initiator to responder, with names. */
#pragma once

#include "user/identity.h"
#include "user/ifaces.h"
#include "user/record.h"

/* Where names come from; both may be NULL, then there are none. */
struct decoder {
	const struct ifaces *ifaces;
	struct identity *identity;
	bool unix_clock; /* the programs run by Unix time already: a capture's */
};

/*
 * A record of the ring: 0 and a new record; -EBADMSG: not of this EVENT_VERSION, of no known kind, or its sizes do not
 * fit; -ENOMEM.
 */
int decode_event(const struct decoder *decoder, const void *data, size_t size, struct record **ret_record);

/*
 * A flow of the table, with what was not reported yet as DELTA (per end of the key), and what is known of it beyond its
 * totals (DETAILS; NULL: nothing). A new record, or NULL: out of memory.
 */
struct record *decode_flow(const struct decoder *decoder, const struct flow_key *key, const struct flow *flow,
                           const struct flow_details *details, const struct totals delta[static 2],
                           enum flow_reason reason);
