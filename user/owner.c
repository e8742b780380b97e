// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include "user/owner.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

struct owner {
	atomic_uint references;
	struct owner_names names; /* into text */
	size_t size;              /* of what follows: equal owners have equal bytes there */
	struct {
		uint32_t pid, uid;
	} numbers;
	char text[];
};

static const size_t texts[] = {
	offsetof(struct owner_names, namespace_name), offsetof(struct owner_names, pod_name),
	offsetof(struct owner_names, pod_uid),        offsetof(struct owner_names, container_name),
	offsetof(struct owner_names, container_id),   offsetof(struct owner_names, executable_name),
};

/* The text at OFFSET of NAMES; "" where there is none. */
static const char *text_at(const struct owner_names *names, size_t offset)
{
	const char *text = *(const char *const *)((const char *)names + offset);
	return text ? text : "";
}

struct owner *owner_new(const struct owner_names *names)
{
	size_t size = 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		size += strlen(text_at(names, texts[i])) + 1;
	struct owner *owner = malloc(sizeof(*owner) + size);
	if (!owner)
		return NULL;

	*owner = (struct owner) {
		.names = { .pid = names->pid, .uid = names->uid },
		.size = sizeof(owner->numbers) + size,
		.numbers = { names->pid, names->uid },
	};
	atomic_init(&owner->references, 1);
	char *at = owner->text;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = text_at(names, texts[i]);
		size_t text_size = strlen(text) + 1;
		if (*text)
			*(const char **)((char *)&owner->names + texts[i]) = at;
		memcpy(at, text, text_size);
		at += text_size;
	}
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

struct known {
	struct owner *owner;
	UT_hash_handle hh;
};

struct owners {
	struct known *known; /* the least recently used first */
	size_t max;
};

struct owners *owners_new(size_t max)
{
	struct owners *owners = calloc(1, sizeof(*owners));
	if (owners)
		owners->max = max;
	return owners;
}

static void known_remove(struct owners *owners, struct known *known)
{
	HASH_DEL(owners->known, known);
	owner_unref(known->owner);
	free(known);
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	while (owners->known)
		known_remove(owners, owners->known);
	free(owners);
}

/* Behind all others. False: out of memory. */
static bool known_add(struct owners *owners, struct known *known)
{
	HASH_ADD_KEYPTR(hh, owners->known, &known->owner->numbers, known->owner->size, known);
	return known->hh.tbl != NULL;
}

struct owner *owners_get(struct owners *owners, const struct owner_names *names)
{
	_cleanup_(owner_unrefp) struct owner *owner = owner_new(names);
	struct known *known;
	if (!owner)
		return NULL;

	HASH_FIND(hh, owners->known, &owner->numbers, owner->size, known);
	if (known) {
		HASH_DEL(owners->known, known);
		owner_unref(owner);
		owner = owner_ref(known->owner);
	} else {
		if (owners->known && HASH_COUNT(owners->known) >= owners->max)
			known_remove(owners, owners->known);
		known = malloc(sizeof(*known));
		if (!known)
			return TAKE_PTR(owner);
		known->owner = owner_ref(owner);
	}
	if (!known_add(owners, known)) {
		owner_unref(known->owner);
		free(known);
	}
	return TAKE_PTR(owner);
}
