/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the identity index share: identity.c answers, identity_tree.c keeps the cgroups, identity_names.c their
 * names.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include "user/identity.h"
#include "user/pods.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>
#include <utlist.h>

#define SUBSCRIBERS_MAX 4

struct cgroup {
	uint64_t id;
	bool gone;
	int watch;           /* inotify's; -1: none */
	char *path;          /* NULL: gone */
	uint64_t reading;    /* the last one of the tree that found it */
	uint64_t first_ns;   /* CLOCK_MONOTONIC */
	struct owner *owner; /* NULL: neither pod nor container */
	struct wait *wait;   /* for a name; NULL: there is none to come */
	struct cgroup *wait_prev, *wait_next;
	struct cgroup *prev, *next; /* of those that are gone, by use */
	UT_hash_handle hh, by_path, by_watch;
};

/* The cgroups that a pod's or container's name is missing to. */
struct wait {
	char key[PODS_KEY_SIZE];
	struct cgroup *cgroups;
	UT_hash_handle hh;
};

struct identity {
	int tree_fd;
	int watch_fd; /* inotify, for the tree; -1: none */
	int events_fd;
	struct pods *pods;

	struct cgroup *by_id;
	struct cgroup *by_path, *by_watch; /* those that are not gone */
	struct cgroup *gone;               /* the least recently used first */
	size_t max;
	uint64_t root_id;

	bool incomplete;    /* there may be cgroups that no event told of */
	bool lacks_room;    /* cgroups were left out for want of it */
	uint64_t reading;   /* counts them */
	uint64_t reread_ns; /* CLOCK_MONOTONIC; the tree is not read again before */
	_Atomic uint64_t rereads;

	struct wait *waits;

	struct subscriber {
		identity_change changed;
		void *data;
	} subscribers[SUBSCRIBERS_MAX];
	size_t n_subscribers;
	_Atomic uint64_t misses[IDENTITY_MISS_MAX];
};

/* identity.c: tells the subscribers of CGROUP. */
void identity_tell(struct identity *identity, const struct cgroup *cgroup, bool gone);

/* identity_tree.c: reads the whole tree, from what is known already on. */
void identity_tree_read(struct identity *identity);
/* identity_tree.c: takes in what inotify tells; reads the tree where that is not enough and it is time. 0 or -errno. */
int identity_tree_update(struct identity *identity);
struct cgroup *identity_tree_find(const struct identity *identity, uint64_t id);
/* identity_tree.c: CGROUP, which is gone, is needed: others are given up first. */
void identity_tree_touch(struct identity *identity, struct cgroup *cgroup);
void identity_tree_clear(struct identity *identity);

/* identity_names.c: gives CGROUP an owner, if its path is a pod's or container's, with the names there are. 0 or -ENOMEM. */
int identity_names_begin(struct identity *identity, struct cgroup *cgroup);
/* identity_names.c: CGROUP does not wait any longer. */
void identity_names_end(struct identity *identity, struct cgroup *cgroup);
/* identity_names.c: a pods_appeared; DATA: the struct identity. */
void identity_names_appeared(const char *key, void *data);
