// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <unistd.h>
#include "user/dirwatch.h"

#define READ_SIZE 16384
#define READS_MAX 64 /* 1 MiB: the default queue of 16,384 events with names of some 48 bytes */

static void hand_on(const char *text, size_t size, dirwatch_event event, void *data)
{
	const struct inotify_event *one;
	for (size_t at = 0; at < size; at += sizeof(*one) + one->len) {
		one = (const struct inotify_event *)(text + at);
		event(one, one->len ? one->name : "", data);
	}
}

int dirwatch_read(int fd, dirwatch_event event, void *data)
{
	_Alignas(struct inotify_event) char text[READ_SIZE];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t size = read(fd, text, sizeof(text));
		if (size < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		hand_on(text, (size_t)size, event, data);
	}
	return 0;
}
