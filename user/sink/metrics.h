/* SPDX-License-Identifier: Apache-2.0 */
/* What the sink counts, and the endpoint that tells it: /metrics for Prometheus, /healthz. One thread: plain numbers.
 */
#pragma once

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include "user/buf.h"

enum batch_result { BATCH_STORED, BATCH_DUPLICATE, BATCH_FAILED, BATCH_RESULTS };
#define BATCH_RESULT_NAMES                      \
	{                                       \
		"stored", "duplicate", "failed" \
	}

/* By event_name: sonde.flow, ...; anything else is other. */
enum stored_kind { KIND_FLOW, KIND_PACKET, KIND_SOCKET, KIND_LEDGER, KIND_OTHER, KINDS };
#define STORED_KIND_NAMES                                     \
	{                                                     \
		"flow", "packet", "socket", "ledger", "other" \
	}

enum refusal {
	REFUSED_CONNECTIONS, /* too many of them */
	REFUSED_TLS,
	REFUSED_TIMEOUT,
	REFUSED_HTTP, /* not HTTP, or not of the kind we speak */
	REFUSED_PATH,
	REFUSED_METHOD,
	REFUSED_CONTENT_TYPE,
	REFUSED_CONTENT_ENCODING,
	REFUSED_TOO_LARGE,
	REFUSED_GZIP,
	REFUSED_PROTOBUF,
	REFUSED_RECORD, /* a record that cannot be what it says it is */
	REFUSED_BUSY,   /* bodies in progress take all the memory they may */
	REFUSED_DISK,
	REFUSALS,
};
#define REFUSAL_NAMES                                                                                          \
	{                                                                                                      \
		"connections", "tls", "timeout", "http", "path", "method", "content_type", "content_encoding", \
			"too_large", "gzip", "protobuf", "record", "busy", "disk"                              \
	}

enum byte_stage { STAGE_RECEIVED, STAGE_UNPACKED, STAGE_RECORDS, STAGE_PACKETS, STAGES };
#define BYTE_STAGE_NAMES                                     \
	{                                                    \
		"received", "unpacked", "records", "packets" \
	}

struct metrics {
	uint64_t batches[BATCH_RESULTS];
	uint64_t records[KINDS]; /* stored */
	uint64_t refused[REFUSALS];
	uint64_t bytes[STAGES];
	/* As they are now. */
	uint64_t connections, streams;
};

const char *refusal_name(enum refusal refusal);

/* Appends the text that Prometheus reads. 0 or OUT's error. */
int metrics_put(const struct metrics *metrics, struct buf *out);

struct metrics_server;

/*
 * Serves on LISTEN ("address:port"), plain HTTP; METRICS outlives it. REFRESH, called before each answer, brings
 * METRICS up to date. 0 or -errno; *ret_port is where it listens.
 */
int metrics_server_new(struct event_base *base, const char *listen, struct metrics *metrics,
                       void (*refresh)(struct metrics *metrics, void *data), void *data,
                       struct metrics_server **ret_server, uint16_t *ret_port);
void metrics_server_free(struct metrics_server *server);
DEFINE_CLEANUP(struct metrics_server *, metrics_server_free)
