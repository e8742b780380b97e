// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>
#include <string.h>
#include "user/owner.h"

struct owner {
	atomic_uint references;
	struct owner_names names;
	char text[];
};

static const char *copy_name(char **space, const char *name)
{
	if (!name)
		return NULL;
	char *copy = *space;
	size_t size = strlen(name) + 1;
	memcpy(copy, name, size);
	*space += size;
	return copy;
}

static size_t name_size(const char *name)
{
	return name ? strlen(name) + 1 : 0;
}

struct owner *owner_new(const struct owner_names *names)
{
	size_t size = name_size(names->namespace_name) + name_size(names->pod_name) + name_size(names->pod_uid) +
	              name_size(names->container_name) + name_size(names->container_id);
	struct owner *owner = malloc(sizeof(*owner) + size);
	if (!owner)
		return NULL;
	char *space = owner->text;
	atomic_init(&owner->references, 1);
	owner->names = (struct owner_names) {
		.namespace_name = copy_name(&space, names->namespace_name),
		.pod_name = copy_name(&space, names->pod_name),
		.pod_uid = copy_name(&space, names->pod_uid),
		.container_name = copy_name(&space, names->container_name),
		.container_id = copy_name(&space, names->container_id),
	};
	return owner;
}

struct owner *owner_ref(struct owner *owner)
{
	if (owner)
		atomic_fetch_add_explicit(&owner->references, 1, memory_order_relaxed);
	return owner;
}

void owner_unref(struct owner *owner)
{
	if (owner && atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel) == 1)
		free(owner);
}

const struct owner_names *owner_names(const struct owner *owner)
{
	static const struct owner_names nobody;
	return owner ? &owner->names : &nobody;
}
