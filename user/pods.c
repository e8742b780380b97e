// SPDX-License-Identifier: Apache-2.0
/* An entry of a directory is kept by its name alone: what that tells is parsed again when it is asked for. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "user/dirwatch.h"
#include "user/pods.h"
#include "user/pods_text.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

#define ENTRIES_MAX 65536 /* of each directory */
#define WATCHED     (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_MOVE_SELF | IN_DELETE_SELF)

struct entry {
	char key[PODS_KEY_SIZE];
	bool contested; /* several names claimed the key; stays, since which is right cannot be told from who is left */
	uint64_t reading; /* the last one of the directory that found it */
	UT_hash_handle hh;
	char name[];
};

struct directory {
	char *path;
	bool (*key_of)(const char *name, char ret_key[static PODS_KEY_SIZE]); /* false: the name tells nothing */
	bool of_directories;                                                  /* else of links */
	int watch;                                                            /* -1: none */
	bool lost;                                                            /* events were */
	uint64_t reading;
	struct entry *entries;
};

struct pods {
	int fd;
	struct directory pods, links;
	pods_appeared appeared;
	void *data;
};

static bool key_of_pod(const char *name, char ret_key[static PODS_KEY_SIZE])
{
	struct pod_names names;
	return pods_dir_parse(name, ret_key, &names);
}

static bool key_of_link(const char *name, char ret_key[static PODS_KEY_SIZE])
{
	struct pods_link link;
	if (!pods_link_parse(name, &link))
		return false;
	pods_key_of_container(link.container_id, ret_key);
	return true;
}

static struct entry *find(const struct directory *directory, const char *key)
{
	struct entry *entry;
	HASH_FIND_STR(directory->entries, key, entry);
	return entry;
}

static void forget(struct directory *directory, struct entry *entry)
{
	HASH_DEL(directory->entries, entry);
	free(entry);
}

static struct entry *add(struct directory *directory, const char *key, const char *name)
{
	size_t size = strlen(name) + 1;
	if (HASH_COUNT(directory->entries) >= ENTRIES_MAX)
		return NULL;
	_cleanup_(freep) struct entry *entry = calloc(1, sizeof(*entry) + size);
	if (!entry)
		return NULL;
	memcpy(entry->key, key, sizeof(entry->key));
	memcpy(entry->name, name, size);
	HASH_ADD_STR(directory->entries, key, entry);
	return entry->hh.tbl ? TAKE_PTR(entry) : NULL;
}

static void take(struct pods *pods, struct directory *directory, const char *name)
{
	char key[PODS_KEY_SIZE] = "";
	if (!directory->key_of(name, key))
		return;
	struct entry *entry = find(directory, key);
	bool known = entry != NULL;
	if (!known)
		entry = add(directory, key, name);
	if (!entry)
		return;
	entry->reading = directory->reading;
	if (strcmp(entry->name, name) != 0)
		entry->contested = true;
	else if (!known && pods->appeared)
		pods->appeared(key, pods->data);
}

static void drop(struct directory *directory, const char *name)
{
	char key[PODS_KEY_SIZE] = "";
	if (!directory->key_of(name, key))
		return;
	struct entry *entry = find(directory, key);
	if (entry && !entry->contested && !strcmp(entry->name, name))
		forget(directory, entry);
}

static bool is_wanted(const struct directory *directory, DIR *parent, const struct dirent *child)
{
	struct stat st;
	unsigned char wanted = directory->of_directories ? DT_DIR : DT_LNK;
	if (child->d_type != DT_UNKNOWN)
		return child->d_type == wanted;
	return fstatat(dirfd(parent), child->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && IFTODT(st.st_mode) == wanted;
}

/* Reads it all. One that is not there has no entries. */
static void read_all(struct pods *pods, struct directory *directory)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory->path);
	const struct dirent *child;
	struct entry *entry, *next;

	if (!dir && errno != ENOENT)
		return;
	directory->lost = false;
	directory->reading++;
	while (dir && (child = readdir(dir)))
		if (is_wanted(directory, dir, child))
			take(pods, directory, child->d_name);
	HASH_ITER (hh, directory->entries, entry, next)
		if (entry->reading != directory->reading)
			forget(directory, entry);
}

/* Watches before it reads: what comes in between is told. */
static void refresh(struct pods *pods, struct directory *directory)
{
	bool watched = directory->watch >= 0;
	if (!watched && pods->fd >= 0)
		directory->watch = inotify_add_watch(pods->fd, directory->path, WATCHED | IN_ONLYDIR);
	if (!watched || directory->lost)
		read_all(pods, directory);
}

void pods_tick(struct pods *pods)
{
	refresh(pods, &pods->pods);
	refresh(pods, &pods->links);
}

static void on_event(const struct inotify_event *event, const char *name, void *data)
{
	struct pods *pods = data;
	struct directory *directory = event->wd == pods->pods.watch    ? &pods->pods
	                              : event->wd == pods->links.watch ? &pods->links
	                                                               : NULL;
	if (event->mask & IN_Q_OVERFLOW) {
		pods->pods.lost = pods->links.lost = true;
	} else if (!directory) {
		return;
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
		inotify_rm_watch(pods->fd, directory->watch); /* moved away, it would be watched on */
		directory->watch = -1;
	} else if (event->mask & (IN_DELETE | IN_MOVED_FROM)) {
		drop(directory, name);
	} else if (!(event->mask & IN_ISDIR) == !directory->of_directories) {
		take(pods, directory, name);
	}
}

int pods_fd(const struct pods *pods)
{
	return pods->fd;
}

int pods_read(struct pods *pods)
{
	return pods->fd < 0 ? 0 : dirwatch_read(pods->fd, on_event, pods);
}

static char *path_of_links(const char *dir)
{
	char *path;
	return asprintf(&path, "%s/../containers", dir) < 0 ? NULL : path;
}

int pods_open(const char *dir, pods_appeared appeared, void *data, struct pods **ret_pods)
{
	_cleanup_(pods_freep) struct pods *pods = calloc(1, sizeof(*pods));
	if (!pods)
		return -ENOMEM;
	pods->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	pods->pods = (struct directory) { .key_of = key_of_pod, .of_directories = true, .watch = -1 };
	pods->links = (struct directory) { .key_of = key_of_link, .watch = -1 };
	pods->pods.path = strdup(dir);
	pods->links.path = path_of_links(dir);
	if (!pods->pods.path || !pods->links.path)
		return -ENOMEM;
	pods_tick(pods);
	pods->appeared = appeared;
	pods->data = data;
	*ret_pods = TAKE_PTR(pods);
	return 0;
}

static void directory_clear(struct directory *directory)
{
	while (directory->entries)
		forget(directory, directory->entries);
	free(directory->path);
}

void pods_free(struct pods *pods)
{
	if (!pods)
		return;
	directory_clear(&pods->pods);
	directory_clear(&pods->links);
	closep(&pods->fd);
	free(pods);
}

bool pods_find(const struct pods *pods, const char *pod_uid, struct pod_names *ret_names)
{
	char key[PODS_KEY_SIZE];
	pods_key_of_uid(pod_uid, key);
	const struct entry *entry = find(&pods->pods, key);
	return entry && !entry->contested && pods_dir_parse(entry->name, key, ret_names);
}

bool pods_find_container(const struct pods *pods, const struct pod_names *names, const char *container_id,
                         char ret_name[static 64])
{
	char key[PODS_KEY_SIZE];
	struct pods_link link;
	pods_key_of_container(container_id, key);
	const struct entry *entry = find(&pods->links, key);
	if (!entry || entry->contested || !pods_link_parse(entry->name, &link) ||
	    strncmp(link.container_id, container_id, strlen(link.container_id)) != 0 ||
	    strcmp(link.pod.namespace_name, names->namespace_name) != 0 ||
	    strcmp(link.pod.pod_name, names->pod_name) != 0)
		return false;
	memcpy(ret_name, link.container_name, sizeof(link.container_name));
	return true;
}
