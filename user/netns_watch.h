/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which network namespaces the processes of pods and containers are in, the sensor's own left out: identity tells of their
 * cgroups, cgroup.procs of the processes, /proc of the rest. Looked at by clock, since the kernel tells nobody when a
 * namespace begins; no descriptor on any of them is kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "user/identity.h"

struct netns_watch_events {
	/*
	 * PID is in the namespace INODE. Told when the namespace is first seen (FRESH), when PID is another process than
	 * before (it may be another namespace with the same inode), and again from time to time: what is in it may have
	 * changed.
	 */
	void (*there)(uint32_t inode, pid_t pid, bool fresh, void *data);
	/* No process of a pod is in it any more. */
	void (*gone)(uint32_t inode, void *data);
	/* Once for each cgroup whose processes do not show their namespaces: ERROR is -EACCES without CAP_SYS_PTRACE. */
	void (*refused)(int error, void *data);
	void *data;
};

struct netns_watch;

/* Subscribes to IDENTITY. 0 or -errno. Free with netns_watch_free, after IDENTITY. */
int netns_watch_open(struct identity *identity, const char *proc_root, const struct netns_watch_events *events,
                     struct netns_watch **ret_watch);
void netns_watch_free(struct netns_watch *watch);
DEFINE_CLEANUP(struct netns_watch *, netns_watch_free)

/* To be called every NETNS_WATCH_MS: looks, and tells. */
#define NETNS_WATCH_MS 500
void netns_watch_tick(struct netns_watch *watch);
