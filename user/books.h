/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's accounts of records, kept where a crash cannot take them. Equations: bpf/books.h and docs/datapath.md. */
#pragma once

#include "bpf/books.h"
#include "user/cleanup.h"

struct books;

/*
 * MAP_FD: the mmapable array map `books` (stays the caller's); -1: private memory, for tests and for programs without
 * maps. 0 or -errno. Free with books_free.
 */
int books_open(int map_fd, struct books **ret_books);
void books_free(struct books *books);
DEFINE_CLEANUP(struct books *, books_free)

/*
 * Change the books: begin takes the lock and returns the state to change in place; commit makes all of it visible (and
 * crash-proof) at once and releases the lock. The lock also guards struct queue, so that "received = acked + queued +
 * dropped" holds whenever it is free.
 */
struct books_state *books_begin(struct books *books);
void books_commit(struct books *books);

/* A consistent copy. */
void books_read(struct books *books, struct books_state *ret_state);
