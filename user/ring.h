/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's side of the BPF ring buffer. Not libbpf's: that one gives each record's space back as it goes, while here
 * the records' account is committed first and the space given back after, so that a crash in between loses none.
 * Layout: a page with the consumer's position, a page with the producer's, the data mapped twice (kernel commit
 * 457f44363a88, "bpf: Implement BPF ring buffer and verifier support for it").
 */
#pragma once

#include <stdint.h>
#include <stddef.h>
#include "user/cleanup.h"

struct ring;

/* MAP_FD stays the caller's. 0 or -errno. Free with ring_free. */
int ring_open(int map_fd, uint32_t bytes, struct ring **ret_ring);
void ring_free(struct ring *ring);
DEFINE_CLEANUP(struct ring *, ring_free)

/*
 * Calls VISIT for up to MAX finished records from *POSITION on, in order, and moves *POSITION behind them; a record that
 * a program is still writing ends it. Gives nothing back. Returns how many records.
 */
size_t ring_read(const struct ring *ring, uint64_t *position, size_t max,
                 void (*visit)(const void *record, size_t size, void *data), void *data);

/* Gives the space of everything before POSITION back to the producers. */
void ring_release(struct ring *ring, uint64_t position);

/* Where the kernel believes the reader is; after a crash the books may know better. */
uint64_t ring_position(const struct ring *ring);

/* Bytes from POSITION to the producer's end, and the finished records in them that a reader would get. */
struct ring_backlog {
	uint64_t bytes, records;
};
void ring_backlog(const struct ring *ring, uint64_t position, struct ring_backlog *ret_backlog);
