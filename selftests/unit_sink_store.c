// SPDX-License-Identifier: Apache-2.0
/* What is stored, once: known batches against a simple model, the journal's damages, transactions and crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>
#include "user/sink/io.h"
#include "user/sink/store.h"

#define ENTRY_SIZE 72

static struct batch_key key(unsigned stream, uint64_t sequence, uint32_t part)
{
	return (struct batch_key) { .stream = { (uint8_t)stream, (uint8_t)(stream >> 8) },
		                    .sequence = sequence,
		                    .part = part };
}

static bool has(const struct dedupe *dedupe, unsigned stream, uint64_t sequence, uint32_t part)
{
	struct batch_key k = key(stream, sequence, part);
	return dedupe_has(dedupe, &k);
}

static void add(struct dedupe *dedupe, unsigned stream, uint64_t sequence, uint32_t part)
{
	struct batch_key k = key(stream, sequence, part);
	assert_int_equal(dedupe_add(dedupe, &k), 0);
	assert_true(dedupe_has(dedupe, &k));
}

static void test_in_order(void **state)
{
	_cleanup_(dedupe_freep) struct dedupe *dedupe = NULL;
	assert_int_equal(dedupe_new(4, 100, &dedupe), 0);
	for (uint64_t n = 1; n <= 100000; n++) {
		assert_false(has(dedupe, 1, n, 0));
		add(dedupe, 1, n, 0);
		assert_true(has(dedupe, 1, n / 2 + 1, 0));
	}
	assert_false(has(dedupe, 2, 1, 0));
	assert_int_equal(dedupe_streams(dedupe), 1);
}

static void test_parts(void **state)
{
	_cleanup_(dedupe_freep) struct dedupe *dedupe = NULL;
	assert_int_equal(dedupe_new(4, 200, &dedupe), 0);
	for (uint64_t n = 1; n <= 1000; n++)
		for (uint32_t part = 1; part <= 3; part++) {
			assert_false(has(dedupe, 1, n, part));
			add(dedupe, 1, n, part);
		}
	/* A part that comes late, but not too late, is not taken for a repeat. */
	assert_false(has(dedupe, 1, 1000 - DEDUPE_REACH + 2, 4));
	/* More parts than can be remembered: some may be stored twice, none is a repeat at its first coming. */
	for (uint32_t part = 1; part <= 1000; part++) {
		struct batch_key k = key(1, 1001, part);
		assert_false(dedupe_has(dedupe, &k));
		assert_int_equal(dedupe_add(dedupe, &k), 0);
	}
}

static void test_gap(void **state)
{
	_cleanup_(dedupe_freep) struct dedupe *dedupe = NULL;
	assert_int_equal(dedupe_new(4, 100, &dedupe), 0);
	add(dedupe, 1, 1, 0);
	for (uint64_t n = 3; n < 3 + 99; n++)
		add(dedupe, 1, n, 0);
	assert_false(has(dedupe, 1, 2, 0));
	add(dedupe, 1, 2, 0);
	/* 200 and what follows leaves a gap that is given up when there is no room to remember all beyond it. */
	for (uint64_t n = 200; n < 200 + 300; n++)
		add(dedupe, 1, n, 0);
	assert_true(has(dedupe, 1, 150, 0));
	assert_false(has(dedupe, 1, 500, 0));
}

static void test_least_recent(void **state)
{
	_cleanup_(dedupe_freep) struct dedupe *dedupe = NULL;
	assert_int_equal(dedupe_new(3, 100, &dedupe), 0);
	for (unsigned stream = 1; stream <= 3; stream++)
		add(dedupe, stream, 1, 0);
	add(dedupe, 1, 2, 0);
	add(dedupe, 4, 1, 0);
	assert_int_equal(dedupe_streams(dedupe), 3);
	assert_false(has(dedupe, 2, 1, 0));
	assert_true(has(dedupe, 1, 1, 0) && has(dedupe, 3, 1, 0) && has(dedupe, 4, 1, 0));
}

static int copy_mark(const struct batch_key *mark, void *data)
{
	return dedupe_set_mark(data, mark->stream, mark->sequence);
}

static int copy_batch(const struct batch_key *batch, void *data)
{
	return dedupe_add(data, batch);
}

/* Numbers come in any order within a window, some twice, some never: the set knows exactly those that came. */
static void test_model(void **state)
{
	enum { STREAMS = 3, LAST = 3000, WINDOW = 80 };
	static bool came[STREAMS][LAST + WINDOW];
	const char *text = getenv("SEED");
	unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : (unsigned)time(NULL);
	print_message("SEED=%u\n", seed);
	srandom(seed);

	_cleanup_(dedupe_freep) struct dedupe *dedupe = NULL, *copy = NULL;
	assert_int_equal(dedupe_new(STREAMS, 1024, &dedupe), 0);
	for (uint64_t n = 1; n < LAST; n++)
		for (int i = 0; i < 4; i++) {
			unsigned stream = (unsigned)random() % STREAMS;
			uint64_t sequence = n + (uint64_t)random() % WINDOW;
			assert_int_equal(has(dedupe, stream, sequence, 0), came[stream][sequence]);
			add(dedupe, stream, sequence, 0);
			came[stream][sequence] = true;
		}
	assert_int_equal(dedupe_new(STREAMS, 1024, &copy), 0);
	assert_int_equal(dedupe_each(dedupe, copy_mark, copy_batch, copy), 0);
	for (unsigned stream = 0; stream < STREAMS; stream++)
		for (uint64_t n = LAST - 700; n < LAST + WINDOW; n++) {
			assert_int_equal(has(dedupe, stream, n, 0), came[stream][n]);
			assert_int_equal(has(copy, stream, n, 0), came[stream][n]);
		}
}

/* A directory of the test's own, *state. */
static int make_dir(void **state)
{
	char *dir = strdup("/tmp/unit-sink-XXXXXX");
	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int remove_dir(void **state)
{
	nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

static struct store *open_store(const char *dir, struct store_report *ret_report)
{
	struct store *store;
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	int r = store_open(dir, &store, ret_report, &error);
	if (r < 0)
		fail_msg("%s", buf_text(&error));
	return store;
}

/* The content of the latest file whose name begins with PREFIX: "" where there is none. */
static const char *content(const char *dir, const char *prefix, char text[static 4096])
{
	char pattern[128];
	glob_t found;
	text[0] = '\0';
	snprintf(pattern, sizeof(pattern), "%s/%s*", dir, prefix);
	if (glob(pattern, 0, NULL, &found) != 0)
		return text;
	_cleanup_(closep) int fd = open(found.gl_pathv[found.gl_pathc - 1], O_RDONLY);
	ssize_t size = read_at(fd, text, 4095, 0);
	text[size > 0 ? size : 0] = '\0';
	globfree(&found);
	return text;
}

static void write_batch(struct store *store, enum store_file file, const char *text, const struct batch_key *batch)
{
	assert_int_equal(store_need_file(store, file), 0);
	assert_int_equal(store_write(store, file, text, strlen(text)), 0);
	assert_int_equal(store_add_batch(store, batch), 0);
}

static void test_transaction(void **state)
{
	const char *dir = *state;
	char text[4096];
	struct store_report report;
	struct batch_key one = key(1, 1, 0), two = key(1, 2, 0);
	_cleanup_(store_closep) struct store *store = open_store(dir, &report);
	assert_string_equal(content(dir, "records", text), "");

	assert_int_equal(store_begin(store), 0);
	assert_false(store_has(store, &one));
	write_batch(store, STORE_RECORDS, "one", &one);
	assert_true(store_has(store, &one));
	assert_int_equal(store_commit(store), 0);
	assert_true(store_has(store, &one));

	assert_int_equal(store_begin(store), 0);
	write_batch(store, STORE_RECORDS, "two", &two);
	assert_int_equal(store_need_file(store, STORE_PACKETS), 0);
	assert_int_equal(store_write(store, STORE_PACKETS, "packet", 6), 0);
	assert_string_equal(content(dir, "records", text), "onetwo");
	store_rollback(store);
	assert_false(store_has(store, &two));
	assert_string_equal(content(dir, "records", text), "one");
	assert_string_equal(content(dir, "packets", text), "");
	assert_int_equal(store_size(store, STORE_PACKETS), 0);
}

static void test_crash(void **state)
{
	const char *dir = *state;
	char text[4096];
	struct store_report report;
	struct batch_key one = key(1, 1, 0), two = key(1, 2, 3);
	struct store *store = open_store(dir, &report);
	assert_int_equal(store_begin(store), 0);
	write_batch(store, STORE_RECORDS, "one", &one);
	write_batch(store, STORE_PACKETS, "packet", NULL);
	assert_int_equal(store_commit(store), 0);
	assert_int_equal(store_begin(store), 0);
	write_batch(store, STORE_RECORDS, "two", &two);
	store_close(store); /* without a commit: as if it was killed */
	assert_string_equal(content(dir, "records", text), "onetwo");

	store = open_store(dir, &report);
	assert_int_equal(report.cut, 3);
	assert_int_equal(report.streams, 1);
	assert_false(report.journal.torn || report.journal.damaged || report.missing);
	assert_string_equal(content(dir, "records", text), "one");
	assert_string_equal(content(dir, "packets", text), "packet");
	assert_true(store_has(store, &one));
	assert_false(store_has(store, &two));
	assert_int_equal(store_begin(store), 0);
	write_batch(store, STORE_RECORDS, "again", &two);
	assert_int_equal(store_commit(store), 0);
	store_close(store);
	assert_string_equal(content(dir, "records", text), "again"); /* each start begins files of its own */

	store = open_store(dir, &report);
	assert_true(store_has(store, &two));
	store_close(store);
}

static void test_only_one(void **state)
{
	struct store_report report;
	struct store *second;
	_cleanup_(store_closep) struct store *store = open_store(*state, &report);
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	assert_int_equal(store_open(*state, &second, &report, &error), -EWOULDBLOCK);
	assert_non_null(strstr(buf_text(&error), "another sonde-sink"));
}

struct log {
	uint64_t sequences[64];
	size_t n;
};

static int log_entry(const struct journal_entry *entry, void *data)
{
	struct log *log = data;
	log->sequences[log->n++] = entry->key.sequence;
	return 0;
}

static int write_three(struct journal *journal, void *data)
{
	for (uint64_t n = 101; n <= 103; n++) {
		struct journal_entry entry = { .kind = JOURNAL_BATCH, .key = key(1, n, 0) };
		int r = journal_add(journal, &entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct journal *reopen(struct journal *journal, int dir_fd, struct log *log, struct journal_report *report)
{
	if (journal)
		journal_close(journal);
	*log = (struct log) { 0 };
	assert_int_equal(journal_open(dir_fd, log_entry, log, &journal, report), 0);
	return journal;
}

static void test_journal(void **state)
{
	_cleanup_(closep) int dir_fd = open(*state, O_DIRECTORY | O_RDONLY);
	struct journal_report report;
	struct log log;
	struct journal *journal = reopen(NULL, dir_fd, &log, &report);
	for (uint64_t n = 1; n <= 9; n += 3) {
		struct journal_entry entries[3];
		for (uint64_t i = 0; i < 3; i++)
			entries[i] = (struct journal_entry) { .kind = JOURNAL_BATCH, .key = key(1, n + i, 0) };
		assert_int_equal(journal_append(journal, entries, 3), 0);
	}
	assert_int_equal(journal_size(journal), 9 * ENTRY_SIZE);

	/* A write that was not finished, at each length, is cut off. */
	for (size_t n = 1; n < 2 * ENTRY_SIZE; n++) {
		char rubbish[2 * ENTRY_SIZE];
		memset(rubbish, n % 2 ? 0 : 0x55, sizeof(rubbish));
		_cleanup_(closep) int fd = openat(dir_fd, "journal", O_WRONLY);
		assert_int_equal(write_at(fd, rubbish, n, 9 * ENTRY_SIZE), 0);
		journal = reopen(journal, dir_fd, &log, &report);
		assert_true(report.torn && !report.damaged && log.n == 9);
		assert_int_equal(journal_size(journal), 9 * ENTRY_SIZE);
	}

	/* Any byte of an entry amid the others: that one is lost, and it is told. */
	for (size_t at = 0; at < ENTRY_SIZE; at++) {
		_cleanup_(closep) int fd = openat(dir_fd, "journal", O_RDWR);
		char byte, other;
		assert_int_equal(read_at(fd, &byte, 1, 4 * ENTRY_SIZE + at), 1);
		other = (char)(byte ^ 0x10);
		assert_int_equal(write_at(fd, &other, 1, 4 * ENTRY_SIZE + at), 0);
		journal = reopen(journal, dir_fd, &log, &report);
		assert_true(report.damaged && !report.torn && log.n == 8);
		assert_int_equal(write_at(fd, &byte, 1, 4 * ENTRY_SIZE + at), 0);
	}

	assert_int_equal(journal_rewrite(journal, write_three, NULL), 0);
	struct journal_entry last = { .kind = JOURNAL_BATCH, .key = key(1, 104, 0) };
	assert_int_equal(journal_append(journal, &last, 1), 0);
	journal = reopen(journal, dir_fd, &log, &report);
	assert_int_equal(log.n, 4);
	assert_int_equal(log.sequences[0], 101);
	assert_int_equal(log.sequences[3], 104);
	assert_false(report.torn || report.damaged);
	assert_int_equal(faccessat(dir_fd, "journal.new", F_OK, 0), -1);
	journal_close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_least_recent),
		cmocka_unit_test(test_model),
		cmocka_unit_test_setup_teardown(test_transaction, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_crash, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_only_one, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_journal, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
