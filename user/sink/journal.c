// SPDX-License-Identifier: Apache-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include "user/sink/io.h"
#include "user/sink/journal.h"

#define JOURNAL_NAME     "journal"
#define JOURNAL_NEW_NAME "journal.new"
#define ENTRY_MAGIC      0x316a6e73 /* "snj1" */
#define BLOCK_ENTRIES    1024       /* read and written at a time */

/* As on the disk; little-endian. */
struct disk_entry {
	uint32_t magic, kind;
	uint8_t stream[16];
	uint64_t sequence;
	struct {
		uint64_t id, size;
	} files[STORE_FILES];
	uint32_t part;
	uint32_t checksum; /* CRC-32 of all before it */
};
_Static_assert(sizeof(struct disk_entry) == 72, "disk_entry layout");

struct journal {
	int dir_fd, fd;
	uint64_t size; /* bytes that count */
	bool torn;     /* there may be more of them on the disk */
	bool renamed;  /* a rewritten journal may not have its name on the disk yet: an entry in it could be lost */
	struct {
		int fd; /* -1: no rewrite in progress */
		uint64_t size;
		size_t n;
		struct disk_entry entries[BLOCK_ENTRIES];
	} new;
};

static uint32_t entry_checksum(const struct disk_entry *disk)
{
	return (uint32_t)crc32(0, (const unsigned char *)disk, offsetof(struct disk_entry, checksum));
}

static void entry_encode(const struct journal_entry *entry, struct disk_entry *ret_disk)
{
	*ret_disk = (struct disk_entry) {
		.magic = htole32(ENTRY_MAGIC),
		.kind = htole32(entry->kind),
		.sequence = htole64(entry->key.sequence),
		.part = htole32(entry->key.part),
	};
	memcpy(ret_disk->stream, entry->key.stream, sizeof(ret_disk->stream));
	for (size_t i = 0; i < STORE_FILES; i++) {
		ret_disk->files[i].id = htole64(entry->files[i].id);
		ret_disk->files[i].size = htole64(entry->files[i].size);
	}
	ret_disk->checksum = htole32(entry_checksum(ret_disk));
}

static bool entry_decode(const struct disk_entry *disk, struct journal_entry *ret_entry)
{
	uint32_t kind = le32toh(disk->kind);
	if (le32toh(disk->magic) != ENTRY_MAGIC || kind < JOURNAL_BATCH || kind > JOURNAL_MARK ||
	    le32toh(disk->checksum) != entry_checksum(disk))
		return false;

	struct journal_entry entry = {
		.kind = kind,
		.key = { .sequence = le64toh(disk->sequence), .part = le32toh(disk->part) },
	};
	memcpy(entry.key.stream, disk->stream, sizeof(entry.key.stream));
	for (size_t i = 0; i < STORE_FILES; i++)
		entry.files[i] = (struct file_state) { le64toh(disk->files[i].id), le64toh(disk->files[i].size) };
	*ret_entry = entry;
	return true;
}

/* Reads all entries; journal->size becomes the end of the last good one. */
static int replay(struct journal *journal, int (*on_entry)(const struct journal_entry *, void *), void *data,
                  struct journal_report *ret_report)
{
	_cleanup_(freep) struct disk_entry *block = calloc(BLOCK_ENTRIES, sizeof(*block));
	if (!block)
		return -ENOMEM;

	struct journal_report report = { 0 };
	bool bad = false;
	for (uint64_t offset = 0;;) {
		ssize_t size = read_at(journal->fd, block, BLOCK_ENTRIES * sizeof(*block), offset);
		if (size < 0)
			return (int)size;
		size_t n = (size_t)size / sizeof(*block);
		for (size_t i = 0; i < n; i++) {
			struct journal_entry entry;
			if (!entry_decode(&block[i], &entry)) {
				bad = true;
				continue;
			}
			report.damaged |= bad;
			bad = false;
			report.entries++;
			journal->size = offset + (i + 1) * sizeof(*block);
			int r = on_entry(&entry, data);
			if (r != 0)
				return r;
		}
		offset += (uint64_t)size;
		if (n < BLOCK_ENTRIES) {
			report.torn = offset > journal->size;
			*ret_report = report;
			return 0;
		}
	}
}

int journal_open(int dir_fd, int (*on_entry)(const struct journal_entry *, void *), void *data,
                 struct journal **ret_journal, struct journal_report *ret_report)
{
	_cleanup_(journal_closep) struct journal *journal = malloc(sizeof(*journal));
	if (!journal)
		return -ENOMEM;
	journal->dir_fd = dir_fd;
	journal->size = 0;
	journal->renamed = false;
	journal->new.fd = -1;
	journal->fd = openat(dir_fd, JOURNAL_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (journal->fd < 0 || fsync(dir_fd) < 0)
		return -errno;

	struct journal_report report;
	int r = replay(journal, on_entry, data, &report);
	if (r != 0)
		return r;
	journal->torn = report.torn;
	r = journal_repair(journal);
	if (r < 0)
		return r;
	*ret_report = report;
	*ret_journal = TAKE_PTR(journal);
	return 0;
}

void journal_close(struct journal *journal)
{
	closep(&journal->new.fd);
	closep(&journal->fd);
	free(journal);
}

int journal_repair(struct journal *journal)
{
	if (journal->renamed && fsync(journal->dir_fd) < 0)
		return -errno;
	journal->renamed = false;
	if (!journal->torn)
		return 0;
	if (ftruncate(journal->fd, (off_t)journal->size) < 0 || fdatasync(journal->fd) < 0)
		return -errno;
	journal->torn = false;
	return 0;
}

int journal_append(struct journal *journal, const struct journal_entry *entries, size_t n)
{
	int r = journal_repair(journal);
	if (r < 0)
		return r;
	_cleanup_(freep) struct disk_entry *block = calloc(n, sizeof(*block));
	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		entry_encode(&entries[i], &block[i]);

	journal->torn = true;
	r = write_at(journal->fd, block, n * sizeof(*block), journal->size);
	if (r < 0)
		return r;
	if (fdatasync(journal->fd) < 0)
		return -errno;
	journal->size += n * sizeof(*block);
	journal->torn = false;
	return 0;
}

static int new_flush(struct journal *journal)
{
	size_t size = journal->new.n * sizeof(journal->new.entries[0]);
	int r = write_at(journal->new.fd, journal->new.entries, size, journal->new.size);
	if (r < 0)
		return r;
	journal->new.size += size;
	journal->new.n = 0;
	return 0;
}

int journal_add(struct journal *journal, const struct journal_entry *entry)
{
	entry_encode(entry, &journal->new.entries[journal->new.n++]);
	return journal->new.n == BLOCK_ENTRIES ? new_flush(journal) : 0;
}

static int new_write(struct journal *journal, int (*write_all)(struct journal *, void *), void *data)
{
	int r = write_all(journal, data);
	if (r == 0)
		r = new_flush(journal);
	if (r < 0)
		return r;
	if (fsync(journal->new.fd) < 0 ||
	    renameat(journal->dir_fd, JOURNAL_NEW_NAME, journal->dir_fd, JOURNAL_NAME) < 0)
		return -errno;
	return 0;
}

int journal_rewrite(struct journal *journal, int (*write_all)(struct journal *, void *), void *data)
{
	journal->new.n = 0;
	journal->new.size = 0;
	journal->new.fd = openat(journal->dir_fd, JOURNAL_NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (journal->new.fd < 0)
		return -errno;

	int r = new_write(journal, write_all, data);
	if (r < 0) {
		unlinkat(journal->dir_fd, JOURNAL_NEW_NAME, 0);
		closep(&journal->new.fd);
		journal->new.fd = -1;
		return r;
	}
	close(journal->fd);
	journal->fd = TAKE_FD(journal->new.fd);
	journal->size = journal->new.size;
	journal->torn = false;
	journal->renamed = true;
	return journal_repair(journal);
}

uint64_t journal_size(const struct journal *journal)
{
	return journal->size;
}
