// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "user/sink/datafile.h"
#include "user/sink/io.h"
#include "user/sink/store.h"

#define STREAMS_MAX 4096
#define AHEAD_MAX   1024

/* The journal is written anew when it is so large, and twice what it was after the last time. */
#define JOURNAL_BYTES_MAX (16 << 20)

struct data_file {
	int fd; /* -1: none is open */
	struct file_state committed;
	uint64_t written; /* size of the file, what is not committed included */
};

struct store {
	int dir_fd;
	struct journal *journal;
	struct dedupe *dedupe;
	struct data_file files[STORE_FILES];
	struct journal_entry entries[STORE_BATCHES_MAX]; /* of the transaction */
	size_t n;
	uint64_t journal_bound;
	bool dirty; /* something may be on the disk that is not committed */
};

static int on_entry(const struct journal_entry *entry, void *data)
{
	struct store *store = data;
	for (size_t i = 0; i < STORE_FILES; i++)
		store->files[i].committed = entry->files[i];
	if (entry->kind == JOURNAL_BATCH)
		return dedupe_add(store->dedupe, &entry->key);
	if (entry->kind == JOURNAL_MARK)
		return dedupe_set_mark(store->dedupe, entry->key.stream, entry->key.sequence);
	return 0;
}

static void put_states(const struct store *store, struct journal_entry *entry)
{
	for (size_t i = 0; i < STORE_FILES; i++)
		entry->files[i] = store->files[i].committed;
}

struct snapshot {
	struct store *store;
	struct journal *journal;
};

static int snapshot_put(const struct snapshot *snapshot, enum journal_kind kind, const struct batch_key *key)
{
	struct journal_entry entry = { .kind = kind, .key = *key };
	put_states(snapshot->store, &entry);
	return journal_add(snapshot->journal, &entry);
}

static int snapshot_mark(const struct batch_key *mark, void *data)
{
	return snapshot_put(data, JOURNAL_MARK, mark);
}

static int snapshot_batch(const struct batch_key *key, void *data)
{
	return snapshot_put(data, JOURNAL_BATCH, key);
}

static int snapshot_write(struct journal *journal, void *data)
{
	struct snapshot snapshot = { data, journal };
	int r = dedupe_each(snapshot.store->dedupe, snapshot_mark, snapshot_batch, &snapshot);
	return r < 0 ? r : snapshot_put(&snapshot, JOURNAL_DATA, &(struct batch_key) { 0 });
}

/* The journal's entries replaced by what they amount to. */
static int compact(struct store *store)
{
	int r = journal_rewrite(store->journal, snapshot_write, store);
	if (r < 0)
		return r;
	uint64_t twice = journal_size(store->journal) * 2;
	store->journal_bound = twice > JOURNAL_BYTES_MAX ? twice : JOURNAL_BYTES_MAX;
	return 0;
}

static int open_dir(const char *dir, int *ret_fd, struct buf *error)
{
	if (mkdir(dir, 0750) < 0 && errno != EEXIST) {
		int r = -errno;
		buf_appendf(error, "dir: cannot make %s: %s\n", dir, strerrordesc_np(-r));
		return r;
	}
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;
		buf_appendf(error, "dir: cannot open %s: %s\n", dir, strerrordesc_np(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;
		buf_appendf(error, "dir: %s: %s\n", dir,
		            r == -EWOULDBLOCK ? "another sonde-sink stores there" : strerrordesc_np(-r));
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int recover(struct store *store, struct store_report *report)
{
	int r = journal_open(store->dir_fd, on_entry, store, &store->journal, &report->journal);
	/* A journal with holes may not know of data that was acknowledged: then nothing is cut. */
	for (enum store_file file = 0; r == 0 && file < STORE_FILES; file++)
		r = datafile_recover(store->dir_fd, file, &store->files[file].committed, !report->journal.damaged,
		                     &report->cut, &report->missing);
	if (r == 0 && (report->journal.damaged || journal_size(store->journal) > JOURNAL_BYTES_MAX))
		r = compact(store);
	report->streams = dedupe_streams(store->dedupe);
	return r;
}

int store_open(const char *dir, struct store **ret_store, struct store_report *ret_report, struct buf *error)
{
	_cleanup_(store_closep) struct store *store = malloc(sizeof(*store));
	if (!store)
		return -ENOMEM;
	*store = (struct store) { .dir_fd = -1, .journal_bound = JOURNAL_BYTES_MAX };
	for (size_t i = 0; i < STORE_FILES; i++)
		store->files[i].fd = -1;

	int r = dedupe_new(STREAMS_MAX, AHEAD_MAX, &store->dedupe);
	if (r < 0)
		return r;
	r = open_dir(dir, &store->dir_fd, error);
	if (r < 0)
		return r;

	struct store_report report = { 0 };
	r = recover(store, &report);
	if (r < 0) {
		buf_appendf(error, "dir: cannot recover %s: %s\n", dir, strerrordesc_np(-r));
		return r;
	}
	*ret_report = report;
	*ret_store = TAKE_PTR(store);
	return 0;
}

void store_close(struct store *store)
{
	for (size_t i = 0; i < STORE_FILES; i++)
		closep(&store->files[i].fd);
	if (store->journal)
		journal_close(store->journal);
	if (store->dedupe)
		dedupe_free(store->dedupe);
	closep(&store->dir_fd);
	free(store);
}

/* The journal first: as long as an entry of this transaction may count, so must its data. */
static int undo(struct store *store)
{
	int r = journal_repair(store->journal);
	if (r < 0)
		return r;
	for (size_t i = 0; i < STORE_FILES; i++) {
		struct data_file *file = &store->files[i];
		if (file->fd < 0 || file->written == file->committed.size)
			continue;
		if (ftruncate(file->fd, (off_t)file->committed.size) < 0)
			return -errno;
		file->written = file->committed.size;
	}
	store->dirty = false;
	return 0;
}

int store_begin(struct store *store)
{
	store->n = 0;
	return store->dirty ? undo(store) : 0;
}

void store_rollback(struct store *store)
{
	store->n = 0;
	undo(store);
}

static bool key_equal(const struct batch_key *a, const struct batch_key *b)
{
	return a->sequence == b->sequence && a->part == b->part && memcmp(a->stream, b->stream, sizeof(a->stream)) == 0;
}

bool store_has(const struct store *store, const struct batch_key *key)
{
	for (size_t i = 0; i < store->n; i++)
		if (store->entries[i].kind == JOURNAL_BATCH && key_equal(&store->entries[i].key, key))
			return true;
	return dedupe_has(store->dedupe, key);
}

int store_need_file(struct store *store, enum store_file file)
{
	struct data_file *data = &store->files[file];
	if (data->fd >= 0)
		return 0;

	struct journal_entry entry = { .kind = JOURNAL_DATA };
	_cleanup_(closep) int fd = -1;
	put_states(store, &entry);
	entry.files[file].size = 0;
	int r = datafile_create(store->dir_fd, file, &entry.files[file].id, &fd);
	if (r == 0)
		r = journal_append(store->journal, &entry, 1);
	if (r < 0)
		return r;
	*data = (struct data_file) { .fd = TAKE_FD(fd), .committed = entry.files[file] };
	return 0;
}

int store_write(struct store *store, enum store_file file, const void *data, size_t size)
{
	struct data_file *to = &store->files[file];
	store->dirty = true;
	int r = write_at(to->fd, data, size, to->written);
	to->written += size; /* more than there is where it failed: enough to be cut off */
	return r;
}

int store_add_batch(struct store *store, const struct batch_key *key)
{
	if (store->n == STORE_BATCHES_MAX)
		return -E2BIG;
	struct journal_entry *entry = &store->entries[store->n++];
	*entry = (struct journal_entry) { .kind = key ? JOURNAL_BATCH : JOURNAL_DATA };
	if (key)
		entry->key = *key;
	put_states(store, entry);
	for (size_t i = 0; i < STORE_FILES; i++)
		if (store->files[i].fd >= 0)
			entry->files[i].size = store->files[i].written;
	return 0;
}

static int sync_all(struct store *store)
{
	for (size_t i = 0; i < STORE_FILES; i++) {
		const struct data_file *file = &store->files[i];
		if (file->fd >= 0 && file->written != file->committed.size && fdatasync(file->fd) < 0)
			return -errno;
	}
	/* A batch that was told of before this transaction began a file: of that it has nothing, but the file is the
	 * last one. */
	for (size_t i = 0; i < store->n; i++)
		for (size_t j = 0; j < STORE_FILES; j++)
			if (store->entries[i].files[j].id != store->files[j].committed.id)
				store->entries[i].files[j] = store->files[j].committed;
	return journal_append(store->journal, store->entries, store->n);
}

int store_commit(struct store *store)
{
	if (!store->n)
		return 0;
	store->dirty = true;
	int r = sync_all(store);
	if (r < 0) {
		store_rollback(store);
		return r;
	}

	for (size_t i = 0; i < STORE_FILES; i++)
		store->files[i].committed = store->entries[store->n - 1].files[i];
	/* Without memory to remember it, a batch would be stored again if it came again: not lost. */
	for (size_t i = 0; i < store->n; i++)
		if (store->entries[i].kind == JOURNAL_BATCH)
			(void)dedupe_add(store->dedupe, &store->entries[i].key);
	store->n = 0;
	store->dirty = false;
	/* Where the disk has no room for a new journal, the old one goes on; the next commit tries again. */
	if (journal_size(store->journal) > store->journal_bound)
		(void)compact(store);
	return 0;
}

void store_end_file(struct store *store, enum store_file file)
{
	closep(&store->files[file].fd);
	store->files[file].fd = -1;
}

uint64_t store_size(const struct store *store, enum store_file file)
{
	return store->files[file].fd >= 0 ? store->files[file].written : 0;
}

uint64_t store_written(const struct store *store, enum store_file file)
{
	const struct data_file *data = &store->files[file];
	return data->fd >= 0 ? data->written - data->committed.size : 0;
}

size_t store_streams(const struct store *store)
{
	return dedupe_streams(store->dedupe);
}
