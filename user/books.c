// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include "user/books.h"

struct books {
	pthread_mutex_t lock;
	struct books_page *page; /* shared with the pinned map */
	struct books_state state;
};

static size_t books_map_size(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (sizeof(struct books_page) + page - 1) / page * page;
}

int books_open(int map_fd, struct books **ret_books)
{
	_cleanup_(freep) struct books *books = calloc(1, sizeof(*books));
	if (!books)
		return -ENOMEM;

	int flags = map_fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *page = mmap(NULL, books_map_size(), PROT_READ | PROT_WRITE, flags, map_fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	books->page = page;
	books->state = books->page->copy[books->page->active & 1];
	pthread_mutex_init(&books->lock, NULL);
	*ret_books = TAKE_PTR(books);
	return 0;
}

void books_free(struct books *books)
{
	if (!books)
		return;
	munmap(books->page, books_map_size());
	pthread_mutex_destroy(&books->lock);
	free(books);
}

struct books_state *books_begin(struct books *books)
{
	pthread_mutex_lock(&books->lock);
	return &books->state;
}

void books_commit(struct books *books)
{
	__u64 next = !(books->page->active & 1);
	books->page->copy[next] = books->state;
	__atomic_store_n(&books->page->active, next, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&books->lock);
}

void books_read(struct books *books, struct books_state *ret_state)
{
	pthread_mutex_lock(&books->lock);
	*ret_state = books->state;
	pthread_mutex_unlock(&books->lock);
}
