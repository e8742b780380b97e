/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at one end of a flow: pod, container, process. Immutable once made, shared by reference count across threads. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "user/cleanup.h"

/* Each name is NULL where it is not known: a field says nothing rather than guessing. Strings are UTF-8. */
struct owner_names {
	const char *namespace_name, *pod_name, *pod_uid, *container_name, *container_id;
	const char *executable_name; /* of the process, without its directory */
	uint32_t pid;                /* of the process, in the initial pid namespace; 0: not known */
	uint32_t uid;                /* of the process, in the initial user namespace; means something where pid does */
};

struct owner;

/* A copy of NAMES ("" is taken for NULL) with one reference, or NULL: out of memory. */
struct owner *owner_new(const struct owner_names *names);
/* NULL passes through both. */
struct owner *owner_ref(struct owner *owner);
void owner_unref(struct owner *owner);
DEFINE_CLEANUP(struct owner *, owner_unref)

/* The names, valid while a reference is held; all NULL for a NULL owner. */
const struct owner_names *owner_names(const struct owner *owner);

/* Owners that were made before, so that all the flows of a process share one. For one thread. */
struct owners;

/* MAX: how many are remembered; the least recently used go first. NULL: out of memory. */
struct owners *owners_new(size_t max);
void owners_free(struct owners *owners);
DEFINE_CLEANUP(struct owners *, owners_free)

/* A new reference to the one owner with NAMES, or NULL: out of memory. */
struct owner *owners_get(struct owners *owners, const struct owner_names *names);
