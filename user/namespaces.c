// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/cgroup.h"
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/namespaces.h"
#include "user/pods.h"
#include "user/settings.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

#define PATIENCE_NS (10 * NS_PER_SEC) /* the kubelet makes a pod's directory before its containers */
#define RETRY_NS    (4 * NS_PER_SEC)  /* between looks for a namespace, once patience is over */

struct cgroup {
	uint64_t id;
	uint64_t first_ns, retry_ns; /* CLOCK_MONOTONIC */
	uint64_t scan;               /* the last one that found it */
	char pod_uid[37];            /* "": no pod, no namespace */
	char name[64];               /* of the namespace; "": not known (yet) */
	enum flow_policy policy;     /* what the map says; POLICY_PENDING: it is not in the map */
	UT_hash_handle hh;
};

struct namespaces {
	int tree_fd, map;
	char *pods_dir;
	struct cgroup *cgroups;
	size_t unknown;
	/* Of the scan under way. */
	const struct config_rules *rules;
	uint64_t now_ns, scan;
	bool full;
};

enum flow_policy namespace_policy(const struct config_rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->n; i++)
		if (fnmatch(rules->items[i].match, name, 0) == 0)
			return rules->items[i].action == NAMESPACE_DENY ? POLICY_DENIED : POLICY_ALLOWED;
	return POLICY_ALLOWED;
}

static void cgroup_remove(struct namespaces *namespaces, struct cgroup *cgroup)
{
	HASH_DEL(namespaces->cgroups, cgroup);
	free(cgroup);
}

static struct cgroup *cgroup_find_or_add(struct namespaces *namespaces, uint64_t id, const char *path)
{
	struct cgroup_path parsed = { 0 };
	struct cgroup *cgroup;

	HASH_FIND(hh, namespaces->cgroups, &id, sizeof(id), cgroup);
	if (cgroup || HASH_COUNT(namespaces->cgroups) >= POLICY_CGROUPS_MAX)
		return cgroup;
	cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup)
		return NULL;
	cgroup->id = id;
	cgroup->first_ns = namespaces->now_ns;
	cgroup->policy = POLICY_PENDING;
	if (cgroup_path_parse(path, &parsed))
		memcpy(cgroup->pod_uid, parsed.pod_uid, sizeof(cgroup->pod_uid));
	HASH_ADD(hh, namespaces->cgroups, id, sizeof(cgroup->id), cgroup);
	if (!cgroup->hh.tbl) {
		free(cgroup);
		return NULL;
	}
	return cgroup;
}

static void look_for_name(const struct namespaces *namespaces, struct cgroup *cgroup)
{
	struct pod_names names;

	if (namespaces->now_ns < cgroup->retry_ns)
		return;
	if (pods_lookup(namespaces->pods_dir, cgroup->pod_uid, "", &names) == 0)
		memcpy(cgroup->name, names.namespace_name, sizeof(cgroup->name));
	else if (namespaces->now_ns >= cgroup->first_ns + PATIENCE_NS)
		cgroup->retry_ns = namespaces->now_ns + RETRY_NS;
}

/* What is to be done with a cgroup, as far as is known; the kernel is told of a change. */
static void cgroup_decide(struct namespaces *namespaces, struct cgroup *cgroup)
{
	enum flow_policy policy = POLICY_ALLOWED;

	if (cgroup->pod_uid[0] && !cgroup->name[0])
		look_for_name(namespaces, cgroup);
	if (cgroup->name[0])
		policy = namespace_policy(namespaces->rules, cgroup->name);
	else if (cgroup->pod_uid[0] && namespaces->now_ns < cgroup->first_ns + PATIENCE_NS)
		policy = POLICY_PENDING;
	else if (cgroup->pod_uid[0])
		namespaces->unknown++;

	uint8_t verdict = (uint8_t)policy;
	if (policy == cgroup->policy)
		return;
	if (bpf_map_update_elem(namespaces->map, &cgroup->id, &verdict, BPF_ANY) == 0)
		cgroup->policy = policy;
	else
		namespaces->full = true;
}

static void take_cgroup(uint64_t id, const char *path, void *data)
{
	struct namespaces *namespaces = data;
	struct cgroup *cgroup = cgroup_find_or_add(namespaces, id, path);
	if (!cgroup) {
		namespaces->full = true;
		return;
	}
	cgroup->scan = namespaces->scan;
	cgroup_decide(namespaces, cgroup);
}

static void forget_gone(struct namespaces *namespaces)
{
	struct cgroup *cgroup, *next;
	HASH_ITER (hh, namespaces->cgroups, cgroup, next) {
		if (cgroup->scan == namespaces->scan)
			continue;
		bpf_map_delete_elem(namespaces->map, &cgroup->id);
		cgroup_remove(namespaces, cgroup);
	}
}

/* What a former loader left in the map of cgroups that are gone. */
static void remove_strangers(struct namespaces *namespaces)
{
	uint64_t id, next;
	struct cgroup *cgroup;
	int r = bpf_map_get_next_key(namespaces->map, NULL, &next);
	while (r == 0) {
		id = next;
		r = bpf_map_get_next_key(namespaces->map, &id, &next);
		HASH_FIND(hh, namespaces->cgroups, &id, sizeof(id), cgroup);
		if (!cgroup)
			bpf_map_delete_elem(namespaces->map, &id);
	}
}

bool namespaces_scan(struct namespaces *namespaces, const struct config_rules *rules)
{
	namespaces->rules = rules;
	namespaces->now_ns = clock_monotonic_ns();
	namespaces->scan++;
	namespaces->unknown = 0;
	namespaces->full = false;
	cgroup_tree_walk(namespaces->tree_fd, take_cgroup, namespaces);
	forget_gone(namespaces);
	if (namespaces->scan == 1)
		remove_strangers(namespaces);
	return !namespaces->full;
}

size_t namespaces_unknown(const struct namespaces *namespaces)
{
	return namespaces->unknown;
}

int namespaces_open(const struct namespaces_options *options, struct namespaces **ret_namespaces)
{
	_cleanup_(namespaces_freep) struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
	if (!namespaces)
		return -ENOMEM;
	namespaces->tree_fd = -1;
	namespaces->map = options->map;
	namespaces->pods_dir = strdup(options->pods_dir);
	if (!namespaces->pods_dir)
		return -ENOMEM;
	int r = cgroup_tree_open(options->cgroup_root, &namespaces->tree_fd);
	if (r < 0)
		return r;
	*ret_namespaces = TAKE_PTR(namespaces);
	return 0;
}

void namespaces_free(struct namespaces *namespaces)
{
	if (!namespaces)
		return;
	while (namespaces->cgroups)
		cgroup_remove(namespaces, namespaces->cgroups);
	closep(&namespaces->tree_fd);
	free(namespaces->pods_dir);
	free(namespaces);
}
