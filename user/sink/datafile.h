/* SPDX-License-Identifier: Apache-2.0 */
/* The data files of the store by name: a kind and the time when it was begun, "records-20260102T030405.678Z.ndjson". */
#pragma once

#include <stdbool.h>
#include "user/sink/journal.h"

/*
 * Makes a file with the present time as its id, or, since a name that exists is left alone, the first free one after
 * it; its name is on the disk then. 0 or -errno.
 */
int datafile_create(int dir_fd, enum store_file file, uint64_t *ret_id, int *ret_fd);

/*
 * Compares what is there with what was COMMITTED, and, if CUT, cuts off what goes beyond it. Adds to *CUT_BYTES what
 * was cut and to *MISSING_BYTES what is not there any more. A file that is gone was taken away by somebody: fine. 0 or
 * -errno.
 */
int datafile_recover(int dir_fd, enum store_file file, const struct file_state *committed, bool cut,
                     uint64_t *cut_bytes, uint64_t *missing_bytes);
