// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/config.h"
#include "sensor.skel.h"
#include "user/program.h"
#include "user/probe.h"
#include "user/sockets.h"
#include "user/sockets_survey.h"

/*
 * Program sonde_sock_<name>, pinned link sock_<name>. In the order in which they are attached: a socket's owner is known
 * before its connections are followed.
 */
static const char *const hooks[] = { "create",   "connect4", "connect6", "sendmsg4", "sendmsg6", "recvmsg4",
	                             "recvmsg6", "bind4",    "bind6",    "release",  "ops" };

struct sockets {
	const struct loader *loader;
	int links[ARRAY_SIZE(hooks)];
	struct survey *survey; /* NULL: this kernel has no such iterators */
	int64_t found;
};

static struct bpf_program *hook_program(const struct loader *loader, const char *hook)
{
	char name[64];
	snprintf(name, sizeof(name), "sonde_sock_%s", hook);
	return bpf_object__find_program_by_name(loader->skeleton->obj, name);
}

/* False: the maps are private, nothing is pinned. */
static bool hook_pin(const struct loader *loader, const char *hook, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s/sock_%s", loader->bpffs, loader->layout, hook);
	return *loader->bpffs;
}

/* True: LINK is attached to the cgroup TREE_FD is. */
static bool link_is_there(int link, int tree_fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	struct stat st;
	return bpf_obj_get_info_by_fd(link, &info, &size) == 0 && fstat(tree_fd, &st) == 0 &&
	       info.cgroup.cgroup_id == st.st_ino;
}

/* Puts PROGRAM into the link that is pinned at PIN; -ENOENT: none, or one of another tree (then the pin is removed). */
static int link_replace(const char *pin, int tree_fd, int program, int *ret_link)
{
	_cleanup_(closep) int link = bpf_obj_get(pin);
	if (link < 0)
		return -errno;
	if (!link_is_there(link, tree_fd)) {
		bpf_link_detach(link);
		unlink(pin);
		return -ENOENT;
	}
	if (bpf_link_update(link, program, NULL) < 0)
		return -errno;
	*ret_link = TAKE_FD(link);
	return 0;
}

static int hook_attach(const struct loader *loader, int tree_fd, const char *hook, int *ret_link)
{
	const struct bpf_program *program = hook_program(loader, hook);
	char pin[PATH_MAX];
	bool pinned = hook_pin(loader, hook, pin);

	if (!program || bpf_program__fd(program) < 0)
		return -EINVAL;
	int r = pinned ? link_replace(pin, tree_fd, bpf_program__fd(program), ret_link) : -ENOENT;
	if (r != -ENOENT)
		return r;
	_cleanup_(closep) int link =
		bpf_link_create(bpf_program__fd(program), tree_fd, bpf_program__expected_attach_type(program), NULL);
	if (link < 0)
		return -errno;
	if (pinned && bpf_obj_pin(link, pin) < 0)
		return -errno;
	*ret_link = TAKE_FD(link);
	return 0;
}

int sockets_attach(const struct loader *loader, int tree_fd, struct sockets **ret_sockets)
{
	_cleanup_(sockets_freep) struct sockets *sockets = calloc(1, sizeof(*sockets));
	if (!sockets)
		return -ENOMEM;
	sockets->loader = loader;
	memset(sockets->links, -1, sizeof(sockets->links));
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		int r = hook_attach(loader, tree_fd, hooks[i], &sockets->links[i]);
		if (r < 0) {
			sockets_detach(sockets);
			return r;
		}
	}
	/* After the hooks: what opens meanwhile is seen by one or the other. */
	sockets->found = -1;
	if (feature_available(FEATURE_SOCKET_ITER) && survey_open(loader, &sockets->survey) == 0)
		sockets->found = survey_find(sockets->survey);
	*ret_sockets = TAKE_PTR(sockets);
	return 0;
}

int sockets_detach(struct sockets *sockets)
{
	int first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		char pin[PATH_MAX];
		int r = 0;
		/* Detached before the pin goes: a descriptor held elsewhere must not keep it running. */
		if (sockets->links[i] >= 0 && bpf_link_detach(sockets->links[i]) < 0)
			r = -errno;
		if (hook_pin(sockets->loader, hooks[i], pin) && unlink(pin) < 0 && errno != ENOENT && r == 0)
			r = -errno;
		closep(&sockets->links[i]);
		sockets->links[i] = -1;
		if (first == 0)
			first = r;
	}
	return first;
}

void sockets_free(struct sockets *sockets)
{
	if (!sockets)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		closep(&sockets->links[i]);
	survey_free(sockets->survey);
	free(sockets);
}

int sockets_refresh(struct sockets *sockets)
{
	return sockets->survey ? survey_refresh(sockets->survey) : 0;
}

int64_t sockets_found(const struct sockets *sockets)
{
	return sockets->found;
}

int sockets_find(const struct loader *loader, uint64_t cookie, struct socket_info *ret_socket)
{
	return bpf_map_lookup_elem(loader->maps.sockets, &cookie, ret_socket) < 0 ? -errno : 0;
}

uint64_t sockets_run_ns(const struct sockets *sockets)
{
	uint64_t sum = sockets->survey ? survey_run_ns(sockets->survey) : 0;
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		sum += program_run_ns(bpf_program__fd(hook_program(sockets->loader, hooks[i])));
	return sum;
}
