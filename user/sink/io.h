/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes at a place of a file. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* 0 or -errno: -ENOSPC (also for a limit on the size of files), -EIO, ...; a part may then be written. */
int write_at(int fd, const void *data, size_t size, uint64_t offset);

/* How much was read, less than SIZE at the file's end only; or -errno. */
ssize_t read_at(int fd, void *data, size_t size, uint64_t offset);
