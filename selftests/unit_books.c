// SPDX-License-Identifier: Apache-2.0
/* The books: what was committed survives its process, what was not leaves no trace, and readers see whole states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "user/books.h"

/* Stands for the pinned map: shared memory behind a descriptor, zero at first. */
static int open_map(void)
{
	int fd = memfd_create("books", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(struct books_page)), 0);
	return fd;
}

static struct books *open_books(int fd)
{
	struct books *books;
	assert_int_equal(books_open(fd, &books), 0);
	return books;
}

static void add_epoch(struct books *books)
{
	struct books_state *state = books_begin(books);
	state->epoch++;
	state->kinds[RECORD_FLOW].received += 10;
	books_commit(books);
}

static void assert_epoch(struct books *books, uint64_t epoch)
{
	struct books_state state;
	books_read(books, &state);
	assert_int_equal(state.epoch, epoch);
	assert_int_equal(state.kinds[RECORD_FLOW].received, 10 * epoch);
}

static void test_reopen(void **state)
{
	_cleanup_(closep) int fd = open_map();
	struct books *books = open_books(fd);

	assert_epoch(books, 0);
	for (uint64_t epoch = 1; epoch <= 3; epoch++) {
		add_epoch(books);
		assert_epoch(books, epoch);
		_cleanup_(books_freep) struct books *next = open_books(fd);
		assert_epoch(next, epoch);
	}
	books_free(books);

	_cleanup_(books_freep) struct books *later = open_books(fd);
	assert_epoch(later, 3);
}

/* A loader that dies between begin and commit. */
static void test_uncommitted(void **state)
{
	_cleanup_(closep) int fd = open_map();
	_cleanup_(books_freep) struct books *books = open_books(fd);

	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		add_epoch(books);
		struct books_state *dying = books_begin(books);
		dying->epoch += 100;
		dying->kinds[RECORD_FLOW].received += 77;
		struct books *next = open_books(fd);
		assert_epoch(next, epoch);
		books_free(next);
		dying->epoch -= 100;
		dying->kinds[RECORD_FLOW].received -= 77;
		books_commit(books);
	}
}

/* A loader that dies within the commit leaves the other copy half written: it is not the active one. */
static void test_half_written(void **state)
{
	_cleanup_(closep) int fd = open_map();
	struct books *books = open_books(fd);
	add_epoch(books);
	add_epoch(books);
	books_free(books);

	struct books_page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	memset(&page->copy[!page->active], 0xff, sizeof(page->copy[0]));
	munmap(page, sizeof(*page));

	books = open_books(fd);
	assert_epoch(books, 2);
	add_epoch(books);
	assert_epoch(books, 3);
	books_free(books);
	_cleanup_(books_freep) struct books *later = open_books(fd);
	assert_epoch(later, 3);
}

static void test_private(void **state)
{
	_cleanup_(books_freep) struct books *one = open_books(-1);
	_cleanup_(books_freep) struct books *other = open_books(-1);

	add_epoch(one);
	assert_epoch(one, 1);
	assert_epoch(other, 0);
}

static void test_not_a_map(void **state)
{
	_cleanup_(books_freep) struct books *books = NULL;
	_cleanup_(closep) int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(books_open(fd, &books), -ENODEV);
	assert_null(books);
}

#define ROUNDS 20000

static void *write_rounds(void *data)
{
	for (int i = 0; i < ROUNDS; i++)
		add_epoch(data);
	return NULL;
}

/* Two writers lose nothing, and no reader sees one field without the other. */
static void test_threads(void **state)
{
	_cleanup_(books_freep) struct books *books = open_books(-1);
	struct books_state seen = { 0 };
	pthread_t writers[2];

	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_rounds, books), 0);
	while (seen.epoch < ROUNDS) {
		books_read(books, &seen);
		assert_int_equal(seen.kinds[RECORD_FLOW].received, 10 * seen.epoch);
	}
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(writers[i], NULL), 0);
	assert_epoch(books, 2 * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reopen),  cmocka_unit_test(test_uncommitted), cmocka_unit_test(test_half_written),
		cmocka_unit_test(test_private), cmocka_unit_test(test_not_a_map),   cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
