/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is committed: an append-only file of fixed-size entries, each with a checksum. A batch is stored when its entry
 * is on the disk; the sizes in the last entry are how much of the data files counts.
 */
#pragma once

#include <stdbool.h>
#include "user/sink/dedupe.h"

enum store_file {
	STORE_RECORDS, /* records-<stamp>.ndjson */
	STORE_PACKETS, /* packets-<stamp>.pcapng */
	STORE_FILES,
};

struct file_state {
	uint64_t id;   /* Unix time in ms when it was begun: the stamp in its name; 0: no file */
	uint64_t size; /* bytes committed */
};

enum journal_kind {
	JOURNAL_BATCH = 1, /* key is stored */
	JOURNAL_DATA = 2,  /* a file was begun, or a batch without a key stored */
	JOURNAL_MARK = 3,  /* of the key's stream, all up to its sequence is stored */
};

struct journal_entry {
	enum journal_kind kind;
	struct batch_key key;
	struct file_state files[STORE_FILES]; /* after it */
};

struct journal_report {
	uint64_t entries;
	bool torn;    /* the last write was not finished: cut off */
	bool damaged; /* entries amid good ones are not readable: what they said is lost */
};

struct journal;

/*
 * Opens or makes DIR/journal (DIR_FD stays the caller's and outlives the journal), and calls ON_ENTRY for each entry,
 * oldest first; a result that is not 0 ends it and is returned. 0 or -errno.
 */
int journal_open(int dir_fd, int (*on_entry)(const struct journal_entry *entry, void *data), void *data,
                 struct journal **ret_journal, struct journal_report *ret_report);
void journal_close(struct journal *journal);
DEFINE_CLEANUP(struct journal *, journal_close)

/* Writes N entries and waits for the disk. On failure -errno, and none of them counts, provided that journal_repair
 * succeeds. */
int journal_append(struct journal *journal, const struct journal_entry *entries, size_t n);

/* Cuts off what a failed append may have left; 0 where there is nothing to do. -errno: entries may count that should
 * not. */
int journal_repair(struct journal *journal);

/* Replaces all entries by the ones that WRITE_ALL adds with journal_add; the old ones stay where that fails. 0 or
 * -errno. */
int journal_rewrite(struct journal *journal, int (*write_all)(struct journal *journal, void *data), void *data);
int journal_add(struct journal *journal, const struct journal_entry *entry);

uint64_t journal_size(const struct journal *journal);
