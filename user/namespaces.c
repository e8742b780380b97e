// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/clock.h"
#include "user/namespaces.h"
#include "user/settings.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

/* What was decided of a cgroup. */
struct verdict {
	uint64_t id;
	uint64_t first_ns;       /* CLOCK_MONOTONIC */
	bool of_pod;             /* else of the host, or of a container that no namespace has */
	char name[64];           /* of the namespace; "": not known (yet) */
	enum flow_policy policy; /* what the map says; POLICY_PENDING: it is not in the map */
	bool left_out;           /* the map has no room for it */
	UT_hash_handle hh;
};

struct namespaces {
	struct identity *identity;
	int map;
	struct config_rules rules; /* borrowed */
	struct verdict *verdicts;
	size_t refused; /* cgroups that there is no verdict for, for want of memory; cumulative */
};

enum flow_policy namespace_policy(const struct config_rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->n; i++)
		if (fnmatch(rules->items[i].match, name, 0) == 0)
			return rules->items[i].action == NAMESPACE_DENY ? POLICY_DENIED : POLICY_ALLOWED;
	return POLICY_ALLOWED;
}

static struct verdict *find(const struct namespaces *namespaces, uint64_t id)
{
	struct verdict *verdict;
	HASH_FIND(hh, namespaces->verdicts, &id, sizeof(id), verdict);
	return verdict;
}

static struct verdict *add(struct namespaces *namespaces, uint64_t id)
{
	_cleanup_(freep) struct verdict *verdict = calloc(1, sizeof(*verdict));
	if (!verdict)
		return NULL;
	verdict->id = id;
	verdict->first_ns = clock_monotonic_ns();
	verdict->policy = POLICY_PENDING;
	HASH_ADD(hh, namespaces->verdicts, id, sizeof(verdict->id), verdict);
	return verdict->hh.tbl ? TAKE_PTR(verdict) : NULL;
}

static void forget(struct namespaces *namespaces, struct verdict *verdict)
{
	HASH_DEL(namespaces->verdicts, verdict);
	free(verdict);
}

static bool is_unknown(const struct verdict *verdict)
{
	return verdict->of_pod && !verdict->name[0];
}

static enum flow_policy decide(const struct namespaces *namespaces, const struct verdict *verdict)
{
	if (verdict->name[0])
		return namespace_policy(&namespaces->rules, verdict->name);
	if (is_unknown(verdict) && clock_monotonic_ns() < verdict->first_ns + NAMES_PATIENCE_NS)
		return POLICY_PENDING;
	return POLICY_ALLOWED;
}

/* The kernel is told of a change. */
static void enforce(struct namespaces *namespaces, struct verdict *verdict)
{
	enum flow_policy policy = decide(namespaces, verdict);
	uint8_t value = (uint8_t)policy;
	if (policy == verdict->policy)
		return;
	verdict->left_out = bpf_map_update_elem(namespaces->map, &verdict->id, &value, BPF_ANY) < 0;
	if (!verdict->left_out)
		verdict->policy = policy;
}

/* An identity_change. */
static void on_cgroup(const struct identity_cgroup *cgroup, void *data)
{
	struct namespaces *namespaces = data;
	struct verdict *verdict = find(namespaces, cgroup->id);

	if (cgroup->gone) {
		bpf_map_delete_elem(namespaces->map, &cgroup->id);
		if (verdict)
			forget(namespaces, verdict);
		return;
	}
	if (!verdict)
		verdict = add(namespaces, cgroup->id);
	if (!verdict) {
		namespaces->refused++;
		return;
	}
	verdict->of_pod = cgroup->parsed && cgroup->parsed->pod_uid[0];
	if (cgroup->names->namespace_name)
		snprintf(verdict->name, sizeof(verdict->name), "%s", cgroup->names->namespace_name);
	enforce(namespaces, verdict);
}

/* What a former loader left in the map of cgroups that are gone. */
static void remove_strangers(struct namespaces *namespaces)
{
	uint64_t id, next;
	int r = bpf_map_get_next_key(namespaces->map, NULL, &next);
	while (r == 0) {
		id = next;
		r = bpf_map_get_next_key(namespaces->map, &id, &next);
		if (!find(namespaces, id))
			bpf_map_delete_elem(namespaces->map, &id);
	}
}

void namespaces_tick(struct namespaces *namespaces)
{
	struct verdict *verdict, *next;
	HASH_ITER (hh, namespaces->verdicts, verdict, next)
		enforce(namespaces, verdict);
}

void namespaces_apply(struct namespaces *namespaces, const struct config_rules *rules)
{
	namespaces->rules = *rules;
	namespaces_tick(namespaces);
}

size_t namespaces_left_out(const struct namespaces *namespaces)
{
	const struct verdict *verdict, *next;
	size_t n = namespaces->refused;
	HASH_ITER (hh, namespaces->verdicts, verdict, next)
		n += verdict->left_out;
	return n;
}

size_t namespaces_unknown(const struct namespaces *namespaces)
{
	const struct verdict *verdict, *next;
	size_t n = 0;
	HASH_ITER (hh, namespaces->verdicts, verdict, next)
		n += is_unknown(verdict) && verdict->policy == POLICY_ALLOWED;
	return n;
}

int namespaces_open(const struct namespaces_options *options, struct namespaces **ret_namespaces)
{
	_cleanup_(namespaces_freep) struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
	if (!namespaces)
		return -ENOMEM;
	namespaces->identity = options->identity;
	namespaces->map = options->map;
	namespaces->rules = *options->rules;
	int r = identity_subscribe(namespaces->identity, on_cgroup, namespaces);
	if (r < 0)
		return r;
	remove_strangers(namespaces);
	*ret_namespaces = TAKE_PTR(namespaces);
	return 0;
}

void namespaces_free(struct namespaces *namespaces)
{
	if (!namespaces)
		return;
	identity_unsubscribe(namespaces->identity, on_cgroup, namespaces);
	while (namespaces->verdicts)
		forget(namespaces, namespaces->verdicts);
	free(namespaces);
}
