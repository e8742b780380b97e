/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what inotify tells of directories. */
#pragma once

#include <sys/inotify.h>

/* NAME: of the entry in the directory, event->name or "" where the event is of the directory itself, or of the queue. */
typedef void (*dirwatch_event)(const struct inotify_event *event, const char *name, void *data);

/*
 * Hands on the events that wait at FD (an inotify instance, non-blocking), a queue's worth at most, so that a storm does not hold
 * up the caller for ever. 0 or -errno.
 */
int dirwatch_read(int fd, dirwatch_event event, void *data);
