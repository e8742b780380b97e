// SPDX-License-Identifier: Apache-2.0
/*
 * Names for the cgroups of pods. What is missing is waited for under the key that it will come with: first the pod's, then the
 * container's; so that a directory of the kubelet's that appears concerns those only that it is for. A name that was found
 * stays, should the directory be gone.
 */
#include <errno.h>
#include <string.h>
#include "user/identity_internal.h"

static struct wait *find_or_add_wait(struct identity *identity, const char *key)
{
	struct wait *wait;
	HASH_FIND_STR(identity->waits, key, wait);
	if (wait)
		return wait;
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return NULL;
	memcpy(wait->key, key, strlen(key) + 1);
	HASH_ADD_STR(identity->waits, key, wait);
	if (!wait->hh.tbl) {
		free(wait);
		return NULL;
	}
	return wait;
}

void identity_names_end(struct identity *identity, struct cgroup *cgroup)
{
	struct wait *wait = cgroup->wait;
	if (!wait)
		return;
	DL_DELETE2(wait->cgroups, cgroup, wait_prev, wait_next);
	cgroup->wait = NULL;
	if (!wait->cgroups) {
		HASH_DEL(identity->waits, wait);
		free(wait);
	}
}

static int wait_for(struct identity *identity, struct cgroup *cgroup, const char *key)
{
	if (cgroup->wait && !strcmp(cgroup->wait->key, key))
		return 0;
	struct wait *wait = find_or_add_wait(identity, key);
	if (!wait)
		return -ENOMEM;
	identity_names_end(identity, cgroup);
	cgroup->wait = wait;
	DL_APPEND2(wait->cgroups, cgroup, wait_prev, wait_next);
	return 0;
}

/* What OWNER knows, or the index of the kubelet's directories. False: nothing. */
static bool find_pod(const struct identity *identity, const struct owner_names *known, struct pod_names *ret_names)
{
	if (!known->pod_name)
		return pods_find(identity->pods, known->pod_uid, ret_names);
	snprintf(ret_names->namespace_name, sizeof(ret_names->namespace_name), "%s", known->namespace_name);
	snprintf(ret_names->pod_name, sizeof(ret_names->pod_name), "%s", known->pod_name);
	return true;
}

/* Takes the names there are, and waits for the next one that is missing. 1: more are known than before; 0; -ENOMEM. */
static int look(struct identity *identity, struct cgroup *cgroup)
{
	struct owner_names names = *owner_names(cgroup->owner);
	char key[PODS_KEY_SIZE], container[64];
	struct pod_names pod;
	bool more = false;

	if (!names.pod_uid)
		return 0;
	if (!find_pod(identity, &names, &pod)) {
		pods_key_of_uid(names.pod_uid, key);
		return wait_for(identity, cgroup, key);
	}
	more = !names.pod_name;
	names.namespace_name = pod.namespace_name;
	names.pod_name = pod.pod_name;
	bool missing = names.container_id && !names.container_name;
	if (missing && pods_find_container(identity->pods, &pod, names.container_id, container)) {
		names.container_name = container;
		missing = false;
		more = true;
	}
	if (more) {
		struct owner *owner = owner_new(&names);
		if (!owner)
			return -ENOMEM;
		owner_unref(cgroup->owner);
		cgroup->owner = owner;
	}
	if (missing) {
		pods_key_of_container(owner_names(cgroup->owner)->container_id, key);
		int r = wait_for(identity, cgroup, key);
		if (r < 0)
			return r;
	} else {
		identity_names_end(identity, cgroup);
	}
	return more;
}

static const char *name_or_null(const char *name)
{
	return name[0] ? name : NULL;
}

int identity_names_begin(struct identity *identity, struct cgroup *cgroup)
{
	struct cgroup_path parsed;
	if (!cgroup_path_parse(cgroup->path, &parsed))
		return 0;
	cgroup->owner = owner_new(&(struct owner_names) {
		.pod_uid = name_or_null(parsed.pod_uid),
		.container_id = name_or_null(parsed.container_id),
	});
	if (!cgroup->owner)
		return -ENOMEM;
	int r = look(identity, cgroup);
	return r < 0 ? r : 0;
}

void identity_names_appeared(const char *key, void *data)
{
	struct identity *identity = data;
	struct cgroup *cgroup, *next;
	struct wait *wait;

	HASH_FIND_STR(identity->waits, key, wait);
	if (!wait)
		return;
	/* The list goes with the last one that it loses. */
	for (cgroup = wait->cgroups; cgroup; cgroup = next) {
		next = cgroup->wait_next;
		if (look(identity, cgroup) == 1 && !cgroup->gone)
			identity_tell(identity, cgroup, false);
	}
}
