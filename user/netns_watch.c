// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <uthash.h>
#include "user/netns.h"
#include "user/netns_watch.h"

/* Containers that exist at a time, and the processes of each that are asked for their namespace. */
#define CGROUPS_MAX   16384
#define PROCESSES_MAX 256

/* What is young changes; later, each is looked at every so many ticks. */
#define YOUNG_TICKS 10
#define EVERY_TICKS 20

struct watched_cgroup {
	uint64_t id;
	char *path; /* from the tree's root on, without a leading '/' */
	unsigned age;
	uint32_t inode; /* of a namespace that a process in it was last seen in; 0: none but the sensor's own */
	bool several;   /* and of others */
	bool refused;
	UT_hash_handle hh;
};

struct watched_netns {
	uint32_t inode;
	pid_t pid; /* a process in it; 0: not found yet */
	unsigned age;
	bool moved; /* pid is another one than was told */
	UT_hash_handle hh;
};

struct netns_watch {
	struct identity *identity;
	char *proc_root;
	uint32_t own;
	struct netns_watch_events events;
	struct watched_cgroup *cgroups; /* by id */
	struct watched_netns *netns;    /* by inode */
};

static void cgroup_discard(struct netns_watch *watch, struct watched_cgroup *cgroup)
{
	HASH_DEL(watch->cgroups, cgroup);
	free(cgroup->path);
	free(cgroup);
}

static void on_cgroup(const struct identity_cgroup *told, void *data)
{
	struct netns_watch *watch = data;
	struct watched_cgroup *cgroup;

	HASH_FIND(hh, watch->cgroups, &told->id, sizeof(told->id), cgroup);
	if (told->gone) {
		if (cgroup)
			cgroup_discard(watch, cgroup);
		return;
	}
	if (cgroup || !told->parsed || !told->parsed->container_id[0] || HASH_COUNT(watch->cgroups) >= CGROUPS_MAX)
		return;
	cgroup = calloc(1, sizeof(*cgroup));
	if (!cgroup)
		return;
	cgroup->id = told->id;
	cgroup->path = strdup(told->path + strspn(told->path, "/"));
	if (!cgroup->path) {
		free(cgroup);
		return;
	}
	HASH_ADD(hh, watch->cgroups, id, sizeof(cgroup->id), cgroup);
}

int netns_watch_open(struct identity *identity, const char *proc_root, const struct netns_watch_events *events,
                     struct netns_watch **ret_watch)
{
	_cleanup_(netns_watch_freep) struct netns_watch *watch = calloc(1, sizeof(*watch));
	struct netns_id own;
	if (!watch)
		return -ENOMEM;
	watch->identity = identity;
	watch->events = *events;
	watch->proc_root = strdup(proc_root);
	if (!watch->proc_root)
		return -ENOMEM;
	int r = netns_current(&own);
	if (r < 0)
		return r;
	watch->own = own.inode;
	r = identity_subscribe(identity, on_cgroup, watch);
	if (r < 0)
		return r;
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

void netns_watch_free(struct netns_watch *watch)
{
	struct watched_cgroup *cgroup, *next_cgroup;
	struct watched_netns *netns, *next_netns;
	if (!watch)
		return;
	HASH_ITER (hh, watch->cgroups, cgroup, next_cgroup)
		cgroup_discard(watch, cgroup);
	HASH_ITER (hh, watch->netns, netns, next_netns) {
		HASH_DEL(watch->netns, netns);
		free(netns);
	}
	free(watch->proc_root);
	free(watch);
}

static struct watched_netns *find(const struct netns_watch *watch, uint32_t inode)
{
	struct watched_netns *netns;
	HASH_FIND(hh, watch->netns, &inode, sizeof(inode), netns);
	return netns;
}

/* A process that is known may have ended or left, and its pid may be another's: only the inode tells. */
static void forget_lost(struct netns_watch *watch)
{
	uint32_t inode;
	for (struct watched_netns *netns = watch->netns; netns; netns = netns->hh.next)
		if (netns_inode(watch->proc_root, netns->pid, &inode) < 0 || inode != netns->inode)
			netns->pid = 0;
}

static void found(struct netns_watch *watch, struct watched_cgroup *cgroup, pid_t pid, uint32_t inode)
{
	struct watched_netns *netns = find(watch, inode);
	if (!netns) {
		netns = calloc(1, sizeof(*netns));
		if (!netns)
			return;
		netns->inode = inode;
		HASH_ADD(hh, watch->netns, inode, sizeof(netns->inode), netns);
	}
	if (!netns->pid) {
		netns->pid = pid;
		netns->moved = true;
	}
	cgroup->several = cgroup->several || (cgroup->inode && cgroup->inode != inode);
	cgroup->inode = inode;
}

static bool is_due(const struct netns_watch *watch, const struct watched_cgroup *cgroup)
{
	if ((!cgroup->inode && !cgroup->refused) || cgroup->age < YOUNG_TICKS ||
	    (cgroup->age + cgroup->id) % EVERY_TICKS == 0)
		return true;
	const struct watched_netns *netns = cgroup->inode ? find(watch, cgroup->inode) : NULL;
	if (netns && !netns->pid)
		return true;
	for (netns = watch->netns; cgroup->several && netns; netns = netns->hh.next)
		if (!netns->pid)
			return true;
	return false;
}

static FILE *open_processes(const struct netns_watch *watch, const struct watched_cgroup *cgroup)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup->path);
	_cleanup_(closep) int fd = openat(identity_tree(watch->identity), path, O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (file)
		TAKE_FD(fd);
	return file;
}

static void look(struct netns_watch *watch, struct watched_cgroup *cgroup)
{
	_cleanup_(fclosep) FILE *file = open_processes(watch, cgroup);
	char line[16];

	cgroup->inode = 0;
	cgroup->several = false;
	for (unsigned n = 0; file && n < PROCESSES_MAX && fgets(line, sizeof(line), file); n++) {
		pid_t pid = (pid_t)strtol(line, NULL, 10);
		uint32_t inode;
		/* 0: of a pid namespace that is not below this one. */
		int r = pid > 0 ? netns_inode(watch->proc_root, pid, &inode) : -ESRCH;
		if (r == 0 && inode != watch->own)
			found(watch, cgroup, pid, inode);
		if (r == 0 || r == -ENOENT || r == -ESRCH || cgroup->refused)
			continue;
		cgroup->refused = true;
		watch->events.refused(r, watch->events.data);
	}
}

static void tell(struct netns_watch *watch)
{
	struct watched_netns *netns, *next;
	HASH_ITER (hh, watch->netns, netns, next) {
		if (!netns->pid) {
			watch->events.gone(netns->inode, watch->events.data);
			HASH_DEL(watch->netns, netns);
			free(netns);
			continue;
		}
		if (netns->moved || netns->age < YOUNG_TICKS || (netns->age + netns->inode) % EVERY_TICKS == 0)
			watch->events.there(netns->inode, netns->pid, netns->age == 0, watch->events.data);
		netns->moved = false;
		netns->age++;
	}
}

void netns_watch_tick(struct netns_watch *watch)
{
	forget_lost(watch);
	for (struct watched_cgroup *cgroup = watch->cgroups; cgroup; cgroup = cgroup->hh.next) {
		if (is_due(watch, cgroup))
			look(watch, cgroup);
		cgroup->age++;
	}
	tell(watch);
}
