/* SPDX-License-Identifier: Apache-2.0 */
/* A request's body into the store: all of it, once. */
#pragma once

#include "user/sink/metrics.h"
#include "user/sink/reply.h"
#include "user/sink/store.h"

struct ingest;

struct ingest_result {
	struct outcome outcome;      /* 200; 400: malformed, 413: too large, 503: not now */
	uint64_t stored, duplicates; /* batches */
	uint64_t records;            /* stored */
};

/* STORE and METRICS outlive it. 0 or -ENOMEM. */
int ingest_new(struct store *store, struct metrics *metrics, struct ingest **ret_ingest);
void ingest_free(struct ingest *ingest);
DEFINE_CLEANUP(struct ingest *, ingest_free)

/*
 * Stores an ExportLogsServiceRequest from the client whose certificate has this SUBJECT. Its batches are its ScopeLogs
 * (a collector in between may have put several into one request); those that are stored already are counted and left
 * out. With status 200 all of it is on the disk, with any other nothing.
 */
void ingest_request(struct ingest *ingest, const char *subject, const void *body, size_t size,
                    struct ingest_result *ret_result);
