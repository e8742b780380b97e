// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <string.h>
#include "user/pod_controller.h"

#define CRONJOB_NAME_MAX 52    /* the API's: 63 for a Job's, less '-' and ten digits */
#define MINUTES_DIGITS   8     /* of a time from 1989 to 2160, counted in minutes */
#define LATE_MAX         86400 /* seconds from a CronJob's time to its pods: starting deadlines, retries */

static const struct {
	const char *kind, *group, *key;
} kinds[] = {
	{ "ReplicaSet", "apps", "k8s.replicaset.name" },
	{ "StatefulSet", "apps", "k8s.statefulset.name" },
	{ "DaemonSet", "apps", "k8s.daemonset.name" },
	{ "Job", "batch", "k8s.job.name" },
	{ "ReplicationController", "", "k8s.replicationcontroller.name" },
};

/* "apps/v1" is of the group "apps", "v1" of the group "". */
static bool is_of_group(const char *api_version, const char *group)
{
	const char *slash = strchr(api_version, '/');
	size_t size = slash ? (size_t)(slash - api_version) : 0;
	return size == strlen(group) && strncmp(api_version, group, size) == 0;
}

static const char *find_key(const struct pod_controller *controller)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].kind, controller->kind) == 0 &&
		    is_of_group(controller->api_version, kinds[i].group))
			return kinds[i].key;
	return NULL;
}

/* What stands before "-<suffix>" at the end of a name: its size, 0: nothing, or no such end. */
static size_t before_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), end = strlen(suffix) + 1;
	if (end < 2 || size <= end || name[size - end] != '-' || strcmp(name + size - end + 1, suffix) != 0)
		return 0;
	return size - end;
}

/* What stands before the time in a name that a CronJob gave; 0: it may be a name that somebody else gave. */
static size_t before_time(const struct pod_controller *controller)
{
	const char *dash = strrchr(controller->name, '-');
	int64_t time = 0;
	if (!dash || strlen(dash + 1) != MINUTES_DIGITS || strspn(dash + 1, "0123456789") != MINUTES_DIGITS)
		return 0;
	for (const char *digit = dash + 1; *digit; digit++)
		time = time * 10 + (*digit - '0');
	int64_t late = controller->created - time * 60;
	size_t size = (size_t)(dash - controller->name);
	return late >= 0 && late <= LATE_MAX && size <= CRONJOB_NAME_MAX ? size : 0;
}

size_t pod_controller_facts(const struct pod_controller *controller, char space[static POD_NAME_MAX + 1],
                            struct pod_fact ret_facts[static 2])
{
	const char *key = find_key(controller), *maker = NULL;
	size_t n = 0, size = 0;
	if (!key)
		return 0;
	if (strcmp(controller->kind, "ReplicaSet") == 0) {
		maker = "k8s.deployment.name";
		size = before_suffix(controller->name, controller->template_hash);
	} else if (strcmp(controller->kind, "Job") == 0) {
		maker = "k8s.cronjob.name";
		size = before_time(controller);
	}
	if (size && size <= POD_NAME_MAX) {
		memcpy(space, controller->name, size);
		space[size] = '\0';
		ret_facts[n++] = (struct pod_fact) { maker, space };
	}
	ret_facts[n++] = (struct pod_fact) { key, controller->name };
	return n;
}
