// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <unistd.h>
#include "user/sink/io.h"

int write_at(int fd, const void *data, size_t size, uint64_t offset)
{
	for (const char *at = data; size;) {
		ssize_t n = pwrite(fd, at, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		/* A file at its largest size is a full disk. */
		if (n < 0)
			return errno == EFBIG ? -ENOSPC : -errno;
		at += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

ssize_t read_at(int fd, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
