// SPDX-License-Identifier: Apache-2.0
/* Whose network namespace it is: a pod's, if the first process of one of its cgroups is in it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "user/clock.h"
#include "user/podnet_internal.h"

#define MAX_PIDS 4 /* of a cgroup: the first may be dying */

static struct pod *pod_get(struct podnet *podnet, const char *uid)
{
	struct pod *pod;
	HASH_FIND_STR(podnet->pods, uid, pod);
	if (pod) {
		pod->references++;
		return pod;
	}
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return NULL;
	pod->references = 1;
	snprintf(pod->uid, sizeof(pod->uid), "%s", uid);
	HASH_ADD_STR(podnet->pods, uid, pod);
	if (!pod->hh.tbl) {
		free(pod);
		return NULL;
	}
	return pod;
}

void pod_unref(struct podnet *podnet, struct pod *pod)
{
	if (!pod || --pod->references > 0)
		return;
	HASH_DEL(podnet->pods, pod);
	owner_unref(pod->owner);
	free(pod);
}

/* The container is left out: an address is all the pod's. */
static void pod_name(struct pod *pod, const struct owner_names *names)
{
	bool named = names->namespace_name && names->pod_name;
	if (pod->owner && (pod->named || !named))
		return;
	struct owner *owner = owner_new(&(struct owner_names) {
		.namespace_name = names->namespace_name,
		.pod_name = names->pod_name,
		.pod_uid = pod->uid,
	});
	if (!owner)
		return;
	owner_unref(pod->owner);
	pod->owner = owner;
	pod->named = named;
}

static void cgroup_remove(struct podnet *podnet, struct pod_cgroup *cgroup)
{
	HASH_DEL(podnet->cgroups, cgroup);
	netns_unref(podnet, cgroup->netns);
	pod_unref(podnet, cgroup->pod);
	free(cgroup);
}

static struct pod_cgroup *cgroup_add(struct podnet *podnet, const struct identity_cgroup *told, uint64_t now)
{
	const char *path = told->path[0] == '/' ? told->path + 1 : told->path;
	size_t size = strlen(path) + 1;

	if (HASH_COUNT(podnet->cgroups) >= MAX_CGROUPS)
		return NULL;
	_cleanup_(freep) struct pod_cgroup *cgroup = calloc(1, sizeof(*cgroup) + size);
	if (!cgroup)
		return NULL;
	cgroup->id = told->id;
	cgroup->seen_ns = cgroup->due_ns = now;
	cgroup->wait_ns = RETRY_NS;
	memcpy(cgroup->path, path, size);
	HASH_ADD(hh, podnet->cgroups, id, sizeof(cgroup->id), cgroup);
	if (!cgroup->hh.tbl)
		return NULL;
	cgroup->pod = pod_get(podnet, told->parsed->pod_uid);
	if (!cgroup->pod) {
		HASH_DEL(podnet->cgroups, cgroup);
		return NULL;
	}
	cgroup->pod->seen_ns = now;
	return TAKE_PTR(cgroup);
}

/* The first processes of the cgroup that are visible from here, at most MAX_PIDS. */
static unsigned read_pids(int fd, pid_t ret_pids[static MAX_PIDS])
{
	char text[512];
	unsigned n = 0;

	ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
	if (size <= 0)
		return 0;
	text[size] = '\0';
	/* What is not ended by a newline is cut off. */
	for (char *line = text, *end; n < MAX_PIDS && (end = strchr(line, '\n')); line = end + 1) {
		long pid = strtol(line, NULL, 10);
		if (pid > 0 && pid <= INT_MAX) /* 0: in a pid namespace that we do not see */
			ret_pids[n++] = (pid_t)pid;
	}
	return n;
}

static bool has_pid(int fd, pid_t pid)
{
	pid_t pids[MAX_PIDS];
	for (unsigned i = 0, n = read_pids(fd, pids); i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* 0, with the number of the namespace that the cgroup's processes are in; -ESRCH: none is there; -errno. */
static int cgroup_nsid(struct podnet *podnet, const struct pod_cgroup *cgroup, int32_t *ret_nsid)
{
	char path[PATH_MAX];
	pid_t pids[MAX_PIDS];

	int size = snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup->path);
	if (size < 0 || (size_t)size >= sizeof(path))
		return -ENAMETOOLONG;
	_cleanup_(closep) int fd = openat(podnet->tree_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unsigned n = read_pids(fd, pids);
	for (unsigned i = 0; i < n; i++) {
		int32_t nsid;
		int r = netlink_nsid(podnet, pids[i], &nsid);
		if (r == -ESRCH)
			continue;
		/* The number of a process that ended may be another's by now: it counts if it is still in the cgroup. */
		if (r == 0 && !has_pid(fd, pids[i]))
			continue;
		if (r == 0)
			*ret_nsid = nsid;
		return r;
	}
	return -ESRCH;
}

static void claim(struct podnet *podnet, struct pod_cgroup *cgroup, struct netns *netns)
{
	cgroup->netns = netns_ref(netns);
	cgroup->wait_ns = RETRY_NS;
	cgroup->pod->placed = true;
	if (!netns->pod) {
		netns->pod = cgroup->pod;
		netns->pod->references++;
	} else if (netns->pod != cgroup->pod) {
		netns->contested = true;
	}
}

/* A runtime's process is in the cgroup before it is in the pod's namespace: no answer but a namespace's number is final. */
static void cgroup_ask(struct podnet *podnet, struct pod_cgroup *cgroup, uint64_t now)
{
	int32_t nsid = -1;
	uint64_t changes = podnet->changes;

	cgroup->due_ns = now + cgroup->wait_ns;
	uint64_t max_ns = now - cgroup->seen_ns < NAMES_PATIENCE_NS ? ASK_YOUNG_NS : ASK_MAX_NS;
	cgroup->wait_ns = cgroup->wait_ns * 2 < max_ns ? cgroup->wait_ns * 2 : max_ns;
	if (cgroup_nsid(podnet, cgroup, &nsid) < 0 || nsid < 0)
		return;
	podnet_ask_own(podnet);
	if (netlink_drain(podnet) < 0 || podnet->changes != changes) {
		cgroup->due_ns = now;
		return;
	}
	struct netns *netns = podnet_netns(podnet, nsid);
	if (netns)
		claim(podnet, cgroup, netns);
}

void podnet_pods_changed(const struct identity_cgroup *told, void *data)
{
	struct podnet *podnet = data;
	struct pod_cgroup *cgroup;

	if (!told->parsed || !told->parsed->pod_uid[0])
		return;
	HASH_FIND(hh, podnet->cgroups, &told->id, sizeof(told->id), cgroup);
	if (told->gone) {
		if (cgroup)
			cgroup_remove(podnet, cgroup);
		return;
	}
	uint64_t now = clock_monotonic_ns();
	bool added = !cgroup;
	if (added)
		cgroup = cgroup_add(podnet, told, now);
	if (!cgroup)
		return;
	pod_name(cgroup->pod, told->names);
	if (added && !podnet->reading_all)
		cgroup_ask(podnet, cgroup, now);
}

/* Volumes are mounted in between; beyond that the pod has hostNetwork, or waits for something else. */
#define PLACE_NS (60 * NS_PER_SEC)

bool podnet_pods_expected(const struct podnet *podnet, uint64_t now)
{
	const struct pod *pod, *next;
	HASH_ITER (hh, podnet->pods, pod, next)
		if (!pod->placed && now - pod->seen_ns < PLACE_NS)
			return true;
	return false;
}

void podnet_pods_ask(struct podnet *podnet, unsigned max)
{
	struct pod_cgroup *cgroup, *next;
	uint64_t now = clock_monotonic_ns();

	HASH_ITER (hh, podnet->cgroups, cgroup, next) {
		if (cgroup->netns && netns_exists(cgroup->netns))
			continue;
		if (cgroup->netns) {
			netns_unref(podnet, cgroup->netns);
			cgroup->netns = NULL;
			cgroup->due_ns = now;
		}
		if (cgroup->due_ns > now || !max)
			continue;
		max--;
		cgroup_ask(podnet, cgroup, now);
	}
}

void podnet_pods_free(struct podnet *podnet)
{
	struct pod_cgroup *cgroup, *next;
	HASH_ITER (hh, podnet->cgroups, cgroup, next)
		cgroup_remove(podnet, cgroup);
}
