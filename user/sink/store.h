/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of what is acknowledged. A transaction writes to the data files, then tells of each batch in it, and
 * commits: data on the disk first, then the journal. What is not committed is cut off again, at once or at the next
 * start.
 */
#pragma once

#include "user/buf.h"
#include "user/sink/journal.h"

#define STORE_BATCHES_MAX 1024 /* of a transaction */

struct store_report {
	struct journal_report journal;
	uint64_t cut;     /* bytes cut off data files: written, but never acknowledged */
	uint64_t missing; /* bytes acknowledged that the latest data files do not have any more */
	size_t streams;   /* whose batches are known */
};

struct store;

/*
 * Opens DIR, made where it is missing, for this process alone, and recovers what the last one left. On failure -errno
 * and a line in ERROR. Data files are begun when there is something to write.
 */
int store_open(const char *dir, struct store **ret_store, struct store_report *ret_report, struct buf *error);
void store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)

/* Begins a transaction. -errno: what a failed one left cannot be cut off yet, and nothing may be written. */
int store_begin(struct store *store);

/* Is the batch stored, or told of in this transaction? */
bool store_has(const struct store *store, const struct batch_key *key);

/* Opens the file where it is not; 0 or -errno. */
int store_need_file(struct store *store, enum store_file file);

/* Appends to a file that store_need_file opened. 0 or -errno; then the transaction can only be rolled back. */
int store_write(struct store *store, enum store_file file, const void *data, size_t size);

/* All of a batch is written. KEY may be NULL: a sender that does not number its batches. 0, -E2BIG or -ENOMEM. */
int store_add_batch(struct store *store, const struct batch_key *key);

/* 0: everything since store_begin is on the disk. -errno: none of it counts; rolled back already. */
int store_commit(struct store *store);

/* Undoes what was written since store_begin; where the disk refuses even that, store_begin tries again. */
void store_rollback(struct store *store);

/* Outside a transaction: the next store_need_file begins a new file. */
void store_end_file(struct store *store, enum store_file file);

/* Bytes in the file that is open, what is not committed included; 0: none is open, or it is empty. */
uint64_t store_size(const struct store *store, enum store_file file);

/* Bytes written in this transaction. */
uint64_t store_written(const struct store *store, enum store_file file);

size_t store_streams(const struct store *store);
