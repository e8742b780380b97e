// SPDX-License-Identifier: Apache-2.0
/* `sonde detach`: nothing of a sensor that is gone stays behind. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/attach.h"
#include "user/commands.h"
#include "user/control.h"
#include "user/loader.h"
#include "user/netns.h"
#include "user/pins.h"

struct detachment {
	const char *bpffs, *proc_root;
	unsigned hooks, layouts, failures;
};

static void failed(struct detachment *detachment, const char *what, const char *name, int r)
{
	fprintf(stderr, "sonde detach: %s %s: %s\n", what, name, LOG_ERRNO(r));
	detachment->failures++;
}

/* In the interface's own network namespace. */
static void detach_here(struct detachment *detachment, const char *layout, uint32_t id, const struct iface_info *info)
{
	int r = 0;
	for (int direction = 0; direction < DIRECTION_MAX; direction++) {
		char pin[PATH_MAX];
		pins_link_path(pin, detachment->bpffs, layout, id, direction == DIRECTION_EGRESS);
		r = detach_hook(info, direction, pin);
		if (r < 0)
			failed(detachment, "cannot detach from", info->name, r);
		else
			detachment->hooks++;
	}
	r = detach_qdisc(info);
	if (r < 0)
		failed(detachment, "cannot remove our clsact qdisc from", info->name, r);
}

struct inside {
	struct detachment *detachment;
	const char *layout;
	uint32_t id;
	const struct iface_info *info;
};

static int detach_inside(void *data)
{
	const struct inside *inside = data;
	struct netns_id netns;
	int r = netns_current(&netns);
	if (r < 0)
		return r;
	if (netns.cookie != inside->info->netns_cookie)
		return -ESTALE;
	detach_here(inside->detachment, inside->layout, inside->id, inside->info);
	return 0;
}

/* A filter in another namespace can be reached through a process in it; without one it ends with the namespace. */
static void detach_interface(struct detachment *detachment, const char *layout, uint32_t id,
                             const struct iface_info *info)
{
	struct inside inside = { detachment, layout, id, info };
	pid_t pid;

	if (!info->domain || info->hook == IFACE_HOOK_TCX) {
		detach_here(detachment, layout, id, info);
		return;
	}
	int r = netns_search(detachment->proc_root, info->netns_inode, &pid);
	if (r == 0)
		r = netns_visit(detachment->proc_root, pid, info->netns_inode, detach_inside, &inside);
	if (r < 0 && r != -ESRCH && r != -ESTALE)
		failed(detachment, "cannot enter the network namespace of", info->name, r);
}

static int detach_layout(const char *layout, void *data)
{
	struct detachment *detachment = data;
	_cleanup_(maps_close) struct sensor_maps maps = SENSOR_MAPS_CLOSED;
	uint32_t id, *previous = NULL;

	/* Maps that cannot be read are of another version; its links go with their pins. */
	if (maps_open(detachment->bpffs, layout, &maps) == 0) {
		for (; bpf_map_get_next_key(maps.ifaces, previous, &id) == 0; previous = &id) {
			struct iface_info info;
			if (bpf_map_lookup_elem(maps.ifaces, &id, &info) == 0)
				detach_interface(detachment, layout, id, &info);
		}
	}
	int r = pins_remove(detachment->bpffs, layout);
	if (r < 0)
		failed(detachment, "cannot remove the pins of layout", layout, r);
	else
		detachment->layouts++;
	return 0;
}

static int detach_all(const struct settings *settings)
{
	struct detachment detachment = { .bpffs = settings->bpffs, .proc_root = settings->node.proc_root };
	_cleanup_(closep) int lock = -1;

	int r = pins_lock(settings->bpffs, &lock);
	if (r == -ENOENT) {
		printf("nothing to detach: %s does not exist\n", settings->bpffs);
		return EXIT_SUCCESS;
	}
	if (r < 0) {
		fprintf(stderr, "sonde detach: %s: %s\n", settings->bpffs,
		        r == -EWOULDBLOCK ? "a sensor is running with these pins; stop it first (it detaches by itself)"
		                          : LOG_ERRNO(r));
		return EXIT_FAILURE;
	}
	r = pins_layouts(settings->bpffs, detach_layout, &detachment);
	if (r < 0)
		failed(&detachment, "cannot read", settings->bpffs, r);
	if (!detachment.failures && rmdir(settings->bpffs) < 0)
		failed(&detachment, "cannot remove", settings->bpffs, -errno);
	printf("detached %u hooks, removed the pins of %u layouts\n", detachment.hooks, detachment.layouts);
	return detachment.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_detach(const struct command_line *line)
{
	struct settings settings;
	if (!command_settings(line, &settings))
		return EXIT_USAGE;
	int code = detach_all(&settings);
	int r = code == EXIT_SUCCESS ? control_remove_stale(settings.control) : 0;
	if (r < 0 && r != -EADDRINUSE) {
		fprintf(stderr, "sonde detach: cannot remove the socket %s: %s\n", settings.control, LOG_ERRNO(r));
		code = EXIT_FAILURE;
	}
	settings_free(&settings);
	return code;
}
