// SPDX-License-Identifier: Apache-2.0
/*
 * An index of cgroups by id, filled by reading the whole tree whenever an unknown id comes. The id of a cgroup is the
 * inode of its directory, is never given twice, and its path never changes: so what an entry knows stays true.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "user/cgroup.h"
#include "user/cgroup_tree.h"
#include "user/identity.h"
#include "user/pods.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>
#include <utlist.h>

#define RETRY_FIRST_NS (250ULL * 1000000)
/* The longest wait for names, and for a cgroup: one that a reading of the tree did not find is hardly ever still to
 * come. */
#define RETRY_NAMES_NS  (4ULL * 1000000000)
#define RETRY_CGROUP_NS (64ULL * 1000000000)

enum entry_kind {
	ENTRY_LOST, /* not in the tree when that was read last */
	ENTRY_HOST, /* neither pod nor container */
	ENTRY_POD,  /* pod, or container without one */
};

struct entry {
	uint64_t id;
	enum entry_kind kind;
	bool used;         /* asked for, not just found on the way */
	bool settled;      /* ENTRY_POD: there is no more to learn */
	uint64_t retry_ns; /* CLOCK_MONOTONIC; not before, for ENTRY_LOST and what is not settled */
	uint64_t wait_ns;  /* how long the last wait was; doubles */
	struct cgroup_path path;
	struct owner *owner;
	struct entry *prev, *next;
	UT_hash_handle hh;
};

struct identity {
	int tree_fd;
	char *pods_dir;
	struct entry *by_id;
	struct entry *by_use; /* the least recently used first */
	size_t n, max;
	uint64_t read_ns; /* CLOCK_MONOTONIC; the tree is not read again before */
	_Atomic uint64_t misses[IDENTITY_MISS_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct entry *entry_find(struct identity *identity, uint64_t id)
{
	struct entry *entry;
	HASH_FIND(hh, identity->by_id, &id, sizeof(id), entry);
	return entry;
}

static void entry_remove(struct identity *identity, struct entry *entry)
{
	HASH_DEL(identity->by_id, entry);
	DL_DELETE(identity->by_use, entry);
	identity->n--;
	owner_unref(entry->owner);
	free(entry);
}

/* A new entry; NULL: no memory, or (for one that nobody asked for) no room that is not in use. */
static struct entry *entry_add(struct identity *identity, uint64_t id, bool used)
{
	if (identity->n >= identity->max) {
		if (!used && identity->by_use->used)
			return NULL;
		entry_remove(identity, identity->by_use);
	}
	_cleanup_(freep) struct entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->id = id;
	entry->used = used;
	HASH_ADD(hh, identity->by_id, id, sizeof(entry->id), entry);
	if (!entry->hh.tbl)
		return NULL;
	if (used)
		DL_APPEND(identity->by_use, entry);
	else
		DL_PREPEND(identity->by_use, entry);
	identity->n++;
	return TAKE_PTR(entry);
}

static void entry_touch(struct identity *identity, struct entry *entry)
{
	entry->used = true;
	DL_DELETE(identity->by_use, entry);
	DL_APPEND(identity->by_use, entry);
}

static void entry_wait(struct entry *entry, uint64_t now, uint64_t max_ns)
{
	entry->wait_ns = entry->wait_ns ? entry->wait_ns * 2 : RETRY_FIRST_NS;
	if (entry->wait_ns > max_ns)
		entry->wait_ns = max_ns;
	entry->retry_ns = now + entry->wait_ns;
}

/* What one reading of the tree is for. */
struct reading {
	struct identity *identity;
	uint64_t wanted;
};

static void note_cgroup(uint64_t id, const char *path, void *data)
{
	const struct reading *reading = data;
	struct entry *entry = entry_find(reading->identity, id);
	if (!entry)
		entry = entry_add(reading->identity, id, id == reading->wanted);
	if (!entry || entry->kind != ENTRY_LOST)
		return;
	entry->kind = cgroup_path_parse(path, &entry->path) ? ENTRY_POD : ENTRY_HOST;
	entry->retry_ns = entry->wait_ns = 0;
}

static void read_tree(struct identity *identity, uint64_t wanted)
{
	struct reading reading = { identity, wanted };
	cgroup_tree_walk(identity->tree_fd, note_cgroup, &reading);
	identity->read_ns = now_ns() + RETRY_FIRST_NS;
}

int identity_open(const struct identity_options *options, struct identity **ret_identity)
{
	_cleanup_(identity_freep) struct identity *identity = NULL;
	_cleanup_(closep) int fd = -1;

	if (!options->max_cgroups)
		return -EINVAL;
	int r = cgroup_tree_open(options->cgroup_root, &fd);
	if (r < 0)
		return r;
	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return -ENOMEM;
	identity->tree_fd = TAKE_FD(fd);
	identity->max = options->max_cgroups;
	identity->pods_dir = strdup(options->pods_dir);
	if (!identity->pods_dir)
		return -ENOMEM;
	read_tree(identity, 0);
	*ret_identity = TAKE_PTR(identity);
	return 0;
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	while (identity->by_id)
		entry_remove(identity, identity->by_id);
	close(identity->tree_fd);
	free(identity->pods_dir);
	free(identity);
}

static void count_miss(struct identity *identity, enum identity_miss miss)
{
	atomic_fetch_add_explicit(&identity->misses[miss], 1, memory_order_relaxed);
}

/* The entry of ID, from the tree if need be; NULL: no memory, or not known and the tree was read just now. */
static struct entry *find_cgroup(struct identity *identity, uint64_t id)
{
	struct entry *entry = entry_find(identity, id);
	if (entry && entry->kind != ENTRY_LOST)
		return entry;

	uint64_t now = now_ns();
	if (now < identity->read_ns || (entry && now < entry->retry_ns))
		return entry;
	read_tree(identity, id);
	entry = entry_find(identity, id); /* reading may have pushed out the old one */
	if (!entry)
		entry = entry_add(identity, id, true);
	if (entry && entry->kind == ENTRY_LOST)
		entry_wait(entry, now, RETRY_CGROUP_NS);
	return entry;
}

static const char *name_or_null(const char *name)
{
	return name[0] ? name : NULL;
}

/* Looks for the names that are still missing. What is known already stays, should the kubelet's directory be gone. */
static void find_names(struct identity *identity, struct entry *entry)
{
	const struct cgroup_path *path = &entry->path;
	struct pod_names pod = { 0 };
	uint64_t now = now_ns();

	if (now < entry->retry_ns)
		return;
	bool found = path->pod_uid[0] && pods_lookup(identity->pods_dir, path->pod_uid, path->container_id, &pod) == 0;
	if (!path->container_id[0])
		pod.container_name[0] = '\0'; /* in the pod, but a monitor perhaps: not surely its only container */

	if (found || !entry->owner) {
		struct owner *owner = owner_new(&(struct owner_names) {
			.namespace_name = name_or_null(pod.namespace_name),
			.pod_name = name_or_null(pod.pod_name),
			.pod_uid = name_or_null(path->pod_uid),
			.container_name = name_or_null(pod.container_name),
			.container_id = name_or_null(path->container_id),
		});
		if (!owner)
			return;
		owner_unref(entry->owner);
		entry->owner = owner;
	}
	entry->settled = !path->pod_uid[0] || (found && (pod.container_name[0] || !path->container_id[0]));
	if (!entry->settled)
		entry_wait(entry, now, RETRY_NAMES_NS);
}

struct owner *identity_lookup(struct identity *identity, uint64_t cgroup_id)
{
	if (!cgroup_id)
		return NULL;
	struct entry *entry = find_cgroup(identity, cgroup_id);
	if (!entry || entry->kind == ENTRY_LOST) {
		count_miss(identity, MISS_CGROUP);
		return NULL;
	}
	entry_touch(identity, entry);
	if (entry->kind == ENTRY_HOST)
		return NULL;
	if (!entry->settled) {
		find_names(identity, entry);
		if (!entry->settled)
			count_miss(identity, owner_names(entry->owner)->pod_name ? MISS_CONTAINER : MISS_POD);
	}
	return owner_ref(entry->owner);
}

void identity_misses(const struct identity *identity, uint64_t ret_misses[static IDENTITY_MISS_MAX])
{
	for (int i = 0; i < IDENTITY_MISS_MAX; i++)
		ret_misses[i] = atomic_load_explicit(&identity->misses[i], memory_order_relaxed);
}
