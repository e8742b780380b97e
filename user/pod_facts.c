// SPDX-License-Identifier: Apache-2.0
#include <stdatomic.h>
#include <string.h>
#include "user/pod_facts.h"

/* The texts stand behind the array. */
struct pod_facts {
	atomic_uint references;
	size_t n;
	struct pod_fact facts[];
};

static const char *const ends[2] = { "source.", "destination." };

/* BEFORE and TEXT, at *SPACE, which moves on. */
static const char *copy_text(char **space, const char *before, const char *text)
{
	char *copy = *space;
	*space = mempcpy(mempcpy(copy, before, strlen(before)), text, strlen(text) + 1);
	return copy;
}

struct pod_facts *pod_facts_new(const struct pod_fact *facts, size_t n)
{
	size_t size = sizeof(struct pod_facts) + n * sizeof(*facts);
	for (size_t i = 0; i < n; i++)
		size += strlen(ends[0]) + strlen(ends[1]) + 2 * strlen(facts[i].key) + strlen(facts[i].value) + 3;
	struct pod_facts *copy = malloc(size);
	if (!copy)
		return NULL;
	char *space = (char *)&copy->facts[n];
	atomic_init(&copy->references, 1);
	copy->n = n;
	for (size_t i = 0; i < n; i++) {
		struct pod_fact *fact = &copy->facts[i];
		fact->value = copy_text(&space, "", facts[i].value);
		for (int end = 0; end < 2; end++)
			fact->end_key[end] = copy_text(&space, ends[end], facts[i].key);
		fact->key = fact->end_key[0] + strlen(ends[0]);
	}
	return copy;
}

struct pod_facts *pod_facts_ref(struct pod_facts *facts)
{
	if (facts)
		atomic_fetch_add_explicit(&facts->references, 1, memory_order_relaxed);
	return facts;
}

void pod_facts_unref(struct pod_facts *facts)
{
	if (facts && atomic_fetch_sub_explicit(&facts->references, 1, memory_order_acq_rel) == 1)
		free(facts);
}

const struct pod_fact *pod_facts_all(const struct pod_facts *facts, size_t *ret_n)
{
	*ret_n = facts ? facts->n : 0;
	return facts ? facts->facts : NULL;
}
