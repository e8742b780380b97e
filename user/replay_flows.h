/* SPDX-License-Identifier: Apache-2.0 */
/* A replay's flows: of each flow's records only the last one, with its whole totals, as one asks about a capture. */
#pragma once

#include "user/buf.h"
#include "user/record.h"

#define REPLAY_FLOWS_MAX (4U << 20)

struct replay_flows;

/* INTERFACE: the records' network.interface.name, "" for none. NULL: out of memory. Free with replay_flows_free. */
struct replay_flows *replay_flows_new(const char *interface);
void replay_flows_free(struct replay_flows *flows);
DEFINE_CLEANUP(struct replay_flows *, replay_flows_free)

/*
 * Takes RECORD, of kind flow, in any case. It replaces the former one of the same flow and generation; one without an id
 * (table_full) stays for itself. 0, -ENOMEM, or -E2BIG: there are REPLAY_FLOWS_MAX flows.
 */
int replay_flows_add(struct replay_flows *flows, struct record *record);

/* All of them, biggest first (bytes of both ends; then the earliest). *ret_records is to be freed, what is in it not. */
int replay_flows_sorted(const struct replay_flows *flows, const struct record ***ret_records, size_t *ret_n);

/*
 * Appends RECORD as the JSON object that sonde-sink would store, on one line: encoded as OTLP, and by the sink's own
 * code made JSON. 0 or -errno.
 */
int replay_flow_json(const struct record *record, struct buf *out);
