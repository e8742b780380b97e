/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the cgroup id that a hook saw to names: cgroup id -> path (an index of the cgroup v2 tree, kept current by inotify) ->
 * container id and pod uid (cgroup.h) -> namespace, pod and container name (pods.h, the kubelet's directories). A cgroup is
 * resolved when it appears, so that one that lived for a moment is known when its records are written.
 */
#pragma once

#include <stdint.h>
#include "user/cgroup.h"
#include "user/owner.h"

struct identity;

struct identity_options {
	const char *cgroup_root; /* the v2 tree, or a directory that has it in "unified" (hybrid) */
	const char *pods_dir;    /* /var/log/pods; "<dir>/../containers" is used where it exists */
	size_t max_cgroups;      /* bound of the index; of those that are gone, the least recently used go first */
};

enum identity_miss { MISS_CGROUP, MISS_POD, MISS_CONTAINER, IDENTITY_MISS_MAX };
#define IDENTITY_MISS_NAMES                  \
	{                                    \
		"cgroup", "pod", "container" \
	}

/* 0 or -errno: -ENOTSUP where there is no cgroup v2 tree (the caller goes on without names). Free with identity_free. */
int identity_open(const struct identity_options *options, struct identity **ret_identity);
void identity_free(struct identity *identity);
DEFINE_CLEANUP(struct identity *, identity_free)

/* What is known of a cgroup. */
enum identity_state {
	IDENTITY_UNKNOWN, /* no such cgroup was ever seen */
	IDENTITY_ROOT,    /* the tree's root, which sockets of the kernel itself are in, too: tells nothing */
	IDENTITY_HOST,    /* a host's: neither pod nor container */
	IDENTITY_PENDING, /* of a pod or container; what names are missing may still come within NAMES_PATIENCE_NS */
	IDENTITY_POD,     /* of a pod or container, with as many names as there will be */
};

#define NAMES_PATIENCE_NS (10ULL * 1000000000) /* since the cgroup appeared */

/*
 * The owner of a cgroup. IDENTITY_PENDING and IDENTITY_POD: *ret_owner is a new reference, else NULL. The container's name
 * is given for processes in that container only. What was once resolved stays resolved after the cgroup is gone. An unknown
 * id makes the tree be read again where inotify cannot be relied on, at most every 250 ms. For one thread.
 */
enum identity_state identity_lookup(struct identity *identity, uint64_t cgroup_id, struct owner **ret_owner);

/* Readable when identity_read has something to do; -1: inotify is not to be had, identity_tick does it all. */
int identity_fd(const struct identity *identity);
/* Takes in the cgroups and pods' directories that came and went. 0 or -errno. */
int identity_read(struct identity *identity);
/* To be called every 250 ms: looks again for what is missing. */
void identity_tick(struct identity *identity);

/* A cgroup as subscribers are told of it; valid during the call. */
struct identity_cgroup {
	uint64_t id;
	const char *path;                 /* from the tree's root on */
	bool gone;                        /* removed; nothing else is told of it any more */
	const struct cgroup_path *parsed; /* NULL: neither pod nor container */
	const struct owner_names *names;  /* what is known so far; all NULL where parsed is NULL */
};
typedef void (*identity_change)(const struct identity_cgroup *cgroup, void *data);

/*
 * CHANGED is called for each cgroup there is, at once, and later for each that appears, gets (more) names, or goes, with DATA,
 * which outlives the index or unsubscribes. It may look up what it is told of, and call nothing else of the index. 0; -ENOSPC:
 * there are enough subscribers.
 */
int identity_subscribe(struct identity *identity, identity_change changed, void *data);
void identity_unsubscribe(struct identity *identity, identity_change changed, const void *data);

/* The directory of the tree's root, to open files in it (cgroup.procs); stays the index's. */
int identity_tree(const struct identity *identity);

/*
 * How often the tree was read anew, since inotify is not to be had, its watches ran out or its queue overflowed, or there was no
 * room or memory: cumulative. From any thread.
 */
uint64_t identity_rereads(const struct identity *identity);

/* How often a lookup left a name open: cumulative, per field. A host process is no miss. From any thread. */
void identity_misses(const struct identity *identity, uint64_t ret_misses[static IDENTITY_MISS_MAX]);
