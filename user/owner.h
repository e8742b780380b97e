/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at one end of a flow: pod, container. Immutable once made, shared by reference count across threads. */
#pragma once

#include <stddef.h>
#include "user/cleanup.h"

/* Each name is NULL where it is not known: a field says nothing rather than guessing. Strings are UTF-8. */
struct owner_names {
	const char *namespace_name, *pod_name, *pod_uid, *container_name, *container_id;
};

struct owner;

/* A copy of NAMES with one reference, or NULL: out of memory. */
struct owner *owner_new(const struct owner_names *names);
/* NULL passes through both. */
struct owner *owner_ref(struct owner *owner);
void owner_unref(struct owner *owner);
DEFINE_CLEANUP(struct owner *, owner_unref)

/* The names, valid while a reference is held; all NULL for a NULL owner. */
const struct owner_names *owner_names(const struct owner *owner);
