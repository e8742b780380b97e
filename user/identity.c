// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/identity_internal.h"

/* Both inotify instances as one descriptor. 0 or -errno. */
static int open_events(struct identity *identity)
{
	const int fds[] = { identity->watch_fd, pods_fd(identity->pods) };
	_cleanup_(closep) int epoll = -1;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct epoll_event event = { .events = EPOLLIN };
		if (fds[i] < 0)
			continue;
		if (epoll < 0)
			epoll = epoll_create1(EPOLL_CLOEXEC);
		if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return -errno;
	}
	identity->events_fd = TAKE_FD(epoll);
	return 0;
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
	identity->events_fd = -1;
	identity->max = options->max_cgroups;
	identity->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	r = pods_open(options->pods_dir, identity_names_appeared, identity, &identity->pods);
	if (r == 0)
		r = open_events(identity);
	if (r < 0)
		return r;
	identity->root_id = cgroup_tree_id(identity->tree_fd, "/");
	identity_tree_read(identity);
	*ret_identity = TAKE_PTR(identity);
	return 0;
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	identity_tree_clear(identity);
	pods_free(identity->pods);
	closep(&identity->events_fd);
	closep(&identity->watch_fd);
	closep(&identity->tree_fd);
	free(identity);
}

static void count_miss(struct identity *identity, enum identity_miss miss)
{
	atomic_fetch_add_explicit(&identity->misses[miss], 1, memory_order_relaxed);
}

/* One that is not known may be in the events that are not read yet. */
static struct cgroup *find_or_read(struct identity *identity, uint64_t id)
{
	struct cgroup *cgroup = identity_tree_find(identity, id);
	if (cgroup)
		return cgroup;
	identity_read(identity);
	return identity_tree_find(identity, id);
}

enum identity_state identity_lookup(struct identity *identity, uint64_t cgroup_id, struct owner **ret_owner)
{
	*ret_owner = NULL;
	if (!cgroup_id)
		return IDENTITY_UNKNOWN;
	if (cgroup_id == identity->root_id)
		return IDENTITY_ROOT;
	struct cgroup *cgroup = find_or_read(identity, cgroup_id);
	if (!cgroup) {
		count_miss(identity, MISS_CGROUP);
		return IDENTITY_UNKNOWN;
	}
	if (cgroup->gone)
		identity_tree_touch(identity, cgroup);
	if (!cgroup->owner)
		return IDENTITY_HOST;
	*ret_owner = owner_ref(cgroup->owner);
	if (!cgroup->wait)
		return IDENTITY_POD;
	count_miss(identity, owner_names(cgroup->owner)->pod_name ? MISS_CONTAINER : MISS_POD);
	return clock_monotonic_ns() < cgroup->first_ns + NAMES_PATIENCE_NS ? IDENTITY_PENDING : IDENTITY_POD;
}

int identity_fd(const struct identity *identity)
{
	return identity->events_fd;
}

int identity_read(struct identity *identity)
{
	int names = pods_read(identity->pods), tree = identity_tree_update(identity);
	return tree < 0 ? tree : names;
}

void identity_tick(struct identity *identity)
{
	pods_tick(identity->pods);
	identity_tree_update(identity);
}

static void tell_one(const struct subscriber *subscriber, const struct cgroup *cgroup, bool gone)
{
	struct cgroup_path parsed;
	const struct identity_cgroup told = {
		.id = cgroup->id,
		.path = cgroup->path,
		.gone = gone,
		.parsed = cgroup_path_parse(cgroup->path, &parsed) ? &parsed : NULL,
		.names = owner_names(cgroup->owner),
	};
	subscriber->changed(&told, subscriber->data);
}

void identity_tell(struct identity *identity, const struct cgroup *cgroup, bool gone)
{
	for (size_t i = 0; i < identity->n_subscribers; i++)
		tell_one(&identity->subscribers[i], cgroup, gone);
}

int identity_subscribe(struct identity *identity, identity_change changed, void *data)
{
	struct cgroup *cgroup, *next;
	struct subscriber subscriber = { changed, data };
	if (identity->n_subscribers == ARRAY_SIZE(identity->subscribers))
		return -ENOSPC;
	identity->subscribers[identity->n_subscribers++] = subscriber;
	HASH_ITER (by_path, identity->by_path, cgroup, next)
		tell_one(&subscriber, cgroup, false);
	return 0;
}

void identity_unsubscribe(struct identity *identity, identity_change changed, const void *data)
{
	struct subscriber *subscribers = identity->subscribers;
	for (size_t i = 0; i < identity->n_subscribers; i++)
		if (subscribers[i].changed == changed && subscribers[i].data == data)
			subscribers[i--] = subscribers[--identity->n_subscribers];
}

int identity_tree(const struct identity *identity)
{
	return identity->tree_fd;
}

uint64_t identity_rereads(const struct identity *identity)
{
	return atomic_load_explicit(&identity->rereads, memory_order_relaxed);
}

void identity_misses(const struct identity *identity, uint64_t ret_misses[static IDENTITY_MISS_MAX])
{
	for (int i = 0; i < IDENTITY_MISS_MAX; i++)
		ret_misses[i] = atomic_load_explicit(&identity->misses[i], memory_order_relaxed);
}
