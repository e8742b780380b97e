// SPDX-License-Identifier: Apache-2.0
/*
 * The cgroups of the tree, kept current by inotify. An event is only a hint that something happened at a path: what is there
 * now is looked up, and held against what was known. The id of a cgroup is the inode of its directory, is never given twice,
 * and its path never changes: so what an entry knows stays true when the cgroup is gone.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/dirwatch.h"
#include "user/identity_internal.h"

#define REREAD_NS    (250 * NS_PER_MS)
#define REREAD_SHARE 20 /* of the time is spent on it, 1 in so many at most */

struct cgroup *identity_tree_find(const struct identity *identity, uint64_t id)
{
	struct cgroup *cgroup;
	HASH_FIND(hh, identity->by_id, &id, sizeof(id), cgroup);
	return cgroup;
}

static struct cgroup *find_by_path(const struct identity *identity, const char *path)
{
	struct cgroup *cgroup;
	HASH_FIND(by_path, identity->by_path, path, strlen(path), cgroup);
	return cgroup;
}

static struct cgroup *find_by_watch(const struct identity *identity, int watch)
{
	struct cgroup *cgroup;
	HASH_FIND(by_watch, identity->by_watch, &watch, sizeof(watch), cgroup);
	return cgroup;
}

static void unwatch(struct identity *identity, struct cgroup *cgroup)
{
	if (cgroup->watch < 0)
		return;
	HASH_DELETE(by_watch, identity->by_watch, cgroup);
	inotify_rm_watch(identity->watch_fd, cgroup->watch);
	cgroup->watch = -1;
}

/* Children are told of from then on. A cgroup that cannot be watched leaves the index incomplete. */
static void watch(struct identity *identity, struct cgroup *cgroup)
{
	char path[PATH_MAX];

	if (cgroup->watch >= 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d%s", identity->tree_fd, cgroup->path);
	if (identity->watch_fd >= 0)
		cgroup->watch = inotify_add_watch(identity->watch_fd, path,
		                                  IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW);
	if (cgroup->watch < 0) {
		identity->incomplete = identity->incomplete || identity->watch_fd < 0 || errno != ENOENT;
		return;
	}
	HASH_ADD(by_watch, identity->by_watch, watch, sizeof(cgroup->watch), cgroup);
	if (!cgroup->by_watch.tbl) {
		inotify_rm_watch(identity->watch_fd, cgroup->watch);
		cgroup->watch = -1;
		identity->incomplete = true;
	}
}

static void forget(struct identity *identity, struct cgroup *cgroup)
{
	identity_names_end(identity, cgroup);
	unwatch(identity, cgroup);
	HASH_DEL(identity->by_id, cgroup);
	if (cgroup->gone)
		DL_DELETE(identity->gone, cgroup);
	else
		HASH_DELETE(by_path, identity->by_path, cgroup);
	owner_unref(cgroup->owner);
	free(cgroup->path);
	free(cgroup);
}

/* Stays known, for the records that are still to come. */
static void set_gone(struct identity *identity, struct cgroup *cgroup)
{
	identity_tell(identity, cgroup, true);
	unwatch(identity, cgroup);
	HASH_DELETE(by_path, identity->by_path, cgroup);
	free(cgroup->path);
	cgroup->path = NULL;
	cgroup->gone = true;
	DL_APPEND(identity->gone, cgroup);
	identity->incomplete = identity->incomplete || identity->lacks_room;
	identity->lacks_room = false;
}

void identity_tree_touch(struct identity *identity, struct cgroup *cgroup)
{
	DL_DELETE(identity->gone, cgroup);
	DL_APPEND(identity->gone, cgroup);
}

static bool make_room(struct identity *identity)
{
	if (HASH_COUNT(identity->by_id) < identity->max)
		return true;
	if (identity->gone)
		forget(identity, identity->gone);
	else
		identity->lacks_room = true;
	return !identity->lacks_room;
}

/* Enters CGROUP, whose id and path are set, into the indexes: all of them or none. */
static int enter(struct identity *identity, struct cgroup *cgroup)
{
	HASH_ADD(hh, identity->by_id, id, sizeof(cgroup->id), cgroup);
	if (!cgroup->hh.tbl)
		return -ENOMEM;
	HASH_ADD_KEYPTR(by_path, identity->by_path, cgroup->path, strlen(cgroup->path), cgroup);
	if (!cgroup->by_path.tbl) {
		HASH_DEL(identity->by_id, cgroup);
		return -ENOMEM;
	}
	return 0;
}

/* NULL: out of memory, or of room. */
static struct cgroup *add(struct identity *identity, uint64_t id, const char *path)
{
	if (!make_room(identity))
		return NULL;
	struct cgroup *cgroup = calloc(1, sizeof(*cgroup));
	char *copy = strdup(path);
	if (cgroup && copy) {
		cgroup->id = id;
		cgroup->path = copy;
		cgroup->watch = -1;
		cgroup->first_ns = clock_monotonic_ns();
	}
	if (!cgroup || !copy || enter(identity, cgroup) < 0) {
		free(copy);
		free(cgroup);
		identity->incomplete = true;
		return NULL;
	}
	if (identity_names_begin(identity, cgroup) < 0) {
		forget(identity, cgroup);
		identity->incomplete = true;
		return NULL;
	}
	return cgroup;
}

/* A cgroup_visit. */
static void take(uint64_t id, const char *path, void *data)
{
	struct identity *identity = data;
	struct cgroup *cgroup = find_by_path(identity, path);

	if (cgroup && cgroup->id != id) { /* another one's path before */
		set_gone(identity, cgroup);
		cgroup = NULL;
	}
	bool known = cgroup != NULL;
	if (!known)
		cgroup = add(identity, id, path);
	if (!cgroup)
		return;
	cgroup->reading = identity->reading;
	watch(identity, cgroup);
	if (!known)
		identity_tell(identity, cgroup, false);
}

void identity_tree_read(struct identity *identity)
{
	struct cgroup *cgroup, *next;
	uint64_t start = clock_monotonic_ns();

	identity->incomplete = identity->watch_fd < 0;
	identity->reading++;
	cgroup_tree_walk(identity->tree_fd, "/", take, identity);
	/* A look at each that was not met: what exceeds the walk's bounds is not gone. */
	HASH_ITER (by_path, identity->by_path, cgroup, next)
		if (cgroup->reading != identity->reading &&
		    cgroup_tree_id(identity->tree_fd, cgroup->path) != cgroup->id)
			set_gone(identity, cgroup);

	uint64_t end = clock_monotonic_ns(), pause = (end - start) * REREAD_SHARE;
	identity->reread_ns = end + (pause > REREAD_NS ? pause : REREAD_NS);
}

/* Holds what is at PATH now against what is known. A new cgroup may have got children before it was watched. */
static void look(struct identity *identity, const char *path)
{
	struct cgroup *cgroup = find_by_path(identity, path);
	uint64_t id = cgroup_tree_id(identity->tree_fd, path);

	if (cgroup && cgroup->id != id)
		set_gone(identity, cgroup);
	if (id && (!cgroup || cgroup->id != id))
		cgroup_tree_walk(identity->tree_fd, path, take, identity);
}

static void on_event(const struct inotify_event *event, const char *name, void *data)
{
	struct identity *identity = data;
	char path[PATH_MAX];

	if (event->mask & IN_Q_OVERFLOW)
		identity->incomplete = true;
	struct cgroup *parent = find_by_watch(identity, event->wd);
	if (!parent)
		return;
	if (event->mask & IN_IGNORED) {
		unwatch(identity, parent);
		return;
	}
	int size = snprintf(path, sizeof(path), "%s/%s", parent->path[1] ? parent->path : "", name);
	if (event->mask & IN_ISDIR && size > 0 && (size_t)size < sizeof(path))
		look(identity, path);
}

int identity_tree_update(struct identity *identity)
{
	int r = identity->watch_fd < 0 ? 0 : dirwatch_read(identity->watch_fd, on_event, identity);
	if (identity->incomplete && clock_monotonic_ns() >= identity->reread_ns) {
		identity_tree_read(identity);
		atomic_fetch_add_explicit(&identity->rereads, 1, memory_order_relaxed);
	}
	return r;
}

void identity_tree_clear(struct identity *identity)
{
	while (identity->by_id)
		forget(identity, identity->by_id);
}
