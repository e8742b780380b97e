// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdbool.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/books.h"
#include "bpf/config.h"
#include "bpf/iface.h"
#include "sensor.skel.h"
#include "user/loader.h"
#include "user/pins.h"

static char messages[4096];

/* Keeps the end of what is printed: that is where the verifier gives its reason. */
static int keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	int printed = level == LIBBPF_DEBUG ? 0 : vasprintf(&text, format, args);
	if (printed <= 0)
		return 0;

	size_t used = strlen(messages), size = (size_t)printed, room = sizeof(messages) - 1;
	const char *from = size > room ? text + (size - room) : text;
	size = strlen(from);
	if (used + size > room) {
		size_t excess = used + size - room;
		memmove(messages, messages + excess, used - excess);
		used -= excess;
	}
	memcpy(messages + used, from, size + 1);
	return 0;
}

const char *loader_messages(void)
{
	return messages;
}

/* FNV-1a: names a directory, protects nothing. */
static uint64_t hash_add(uint64_t hash, const void *data, size_t size)
{
	for (const uint8_t *byte = data; size--; byte++)
		hash = (hash ^ *byte) * 0x100000001b3;
	return hash;
}

/* Everything that decides whether a pinned map can be taken over, and what its bytes mean. */
static void layout_name(const struct sensor_bpf *skeleton, char layout[static 17])
{
	const uint32_t version = EVENT_VERSION;
	uint64_t hash = hash_add(0xcbf29ce484222325, &version, sizeof(version));
	const struct bpf_map *map;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		uint32_t definition[] = { bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
			                  bpf_map__max_entries(map), bpf_map__map_flags(map) };
		hash = hash_add(hash, bpf_map__name(map), strlen(bpf_map__name(map)) + 1);
		hash = hash_add(hash, definition, sizeof(definition));
	}
	snprintf(layout, 17, "%016llx", (unsigned long long)hash);
}

/* *RET_MADE: the layout's directory was not there before. */
static int set_pin_paths(struct sensor_bpf *skeleton, const char *bpffs, const char *layout, bool *ret_made)
{
	struct bpf_map *map;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", bpffs, layout);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	bpf_object__for_each_map(map, skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", bpffs, layout, bpf_map__name(map));
		int r = bpf_map__set_pin_path(map, path);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct sensor_bpf *skeleton_open(const struct loader_options *options)
{
	messages[0] = '\0';
	libbpf_set_print(keep_message);
	struct sensor_bpf *skeleton = sensor_bpf__open();
	if (!skeleton)
		return NULL;
	skeleton->rodata->sensor = options->config;
	bpf_map__set_max_entries(skeleton->maps.flows, options->flows_max);
	bpf_map__set_max_entries(skeleton->maps.reported, options->flows_max);
	bpf_map__set_max_entries(skeleton->maps.ring, options->ring_bytes);
	return skeleton;
}

/* Opens, sizes and loads; maps of the same layout are taken over by their pins. */
static int skeleton_load(const struct loader_options *options, struct sensor_bpf **ret_skeleton, char layout[static 17])
{
	struct sensor_bpf *skeleton = skeleton_open(options);
	if (!skeleton)
		return -errno;
	layout_name(skeleton, layout);

	bool made = false;
	int r = set_pin_paths(skeleton, options->bpffs, layout, &made);
	if (r == 0)
		r = sensor_bpf__load(skeleton);
	if (r < 0) {
		/* libbpf pins maps before it loads programs. */
		if (made)
			pins_remove(options->bpffs, layout);
		sensor_bpf__destroy(skeleton);
		return r;
	}
	*ret_skeleton = skeleton;
	return 0;
}

int loader_try(const struct loader_options *options)
{
	struct sensor_bpf *skeleton = skeleton_open(options);
	struct bpf_map *map;
	int r = 0;
	if (!skeleton)
		return -errno;
	bpf_object__for_each_map(map, skeleton->obj) if (r == 0 && !bpf_map__is_internal(map)) r =
		bpf_map__set_pin_path(map, NULL);
	if (r == 0)
		r = sensor_bpf__load(skeleton);
	sensor_bpf__destroy(skeleton);
	return r;
}

/* The pin of the main program is only for people with bpftool: the slots of `filters` hold it. */
static int pin_program(const struct loader *loader, int program)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s/sonde_main", loader->bpffs, loader->layout);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(program, path) < 0 ? -errno : 0;
}

static int swap_programs(struct loader *loader, struct sensor_bpf *skeleton)
{
	int program = bpf_program__fd(skeleton->progs.sonde_main);
	for (uint32_t link_type = 0; link_type < LINK_TYPE_MAX; link_type++)
		if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.filters), &link_type, &program, BPF_ANY) < 0)
			return -errno;
	loader->instructions = (uint32_t)bpf_program__insn_cnt(skeleton->progs.sonde_main);
	return pin_program(loader, program);
}

static void maps_of_skeleton(const struct sensor_bpf *skeleton, struct sensor_maps *ret_maps)
{
	*ret_maps = (struct sensor_maps) {
		.flows = bpf_map__fd(skeleton->maps.flows),
		.reported = bpf_map__fd(skeleton->maps.reported),
		.ifaces = bpf_map__fd(skeleton->maps.ifaces),
		.iface_stats = bpf_map__fd(skeleton->maps.iface_stats),
		.record_stats = bpf_map__fd(skeleton->maps.record_stats),
		.ring = bpf_map__fd(skeleton->maps.ring),
		.books = bpf_map__fd(skeleton->maps.books),
		.self_sockets = bpf_map__fd(skeleton->maps.self_sockets),
		.flows_max = bpf_map__max_entries(skeleton->maps.flows),
		.ring_bytes = bpf_map__max_entries(skeleton->maps.ring),
	};
}

int loader_open(const struct loader_options *options, struct loader **ret_loader)
{
	_cleanup_(loader_freep) struct loader *loader = calloc(1, sizeof(*loader));
	if (!loader)
		return -ENOMEM;
	snprintf(loader->bpffs, sizeof(loader->bpffs), "%s", options->bpffs);
	int r = skeleton_load(options, &loader->skeleton, loader->layout);
	if (r < 0)
		return r;
	maps_of_skeleton(loader->skeleton, &loader->maps);
	r = swap_programs(loader, loader->skeleton);
	if (r < 0)
		return r;
	*ret_loader = TAKE_PTR(loader);
	return 0;
}

int loader_reconfigure(struct loader *loader, const struct loader_options *options)
{
	struct sensor_bpf *skeleton;
	char layout[17];
	int r = skeleton_load(options, &skeleton, layout);
	if (r < 0)
		return r;
	r = strcmp(layout, loader->layout) == 0 ? swap_programs(loader, skeleton) : -EINVAL;
	/* The old skeleton keeps the maps' descriptors that others use; the programs of the new one live in `filters`. */
	sensor_bpf__destroy(skeleton);
	return r;
}

void loader_free(struct loader *loader)
{
	if (!loader)
		return;
	sensor_bpf__destroy(loader->skeleton);
	free(loader);
}

/* Replaces each immediate FROM by TO; how many there were. */
static unsigned patch(struct bpf_insn *insns, size_t n, int32_t from, uint32_t to)
{
	unsigned found = 0;
	for (size_t i = 0; i < n; i++) {
		if (insns[i].imm != from)
			continue;
		insns[i].imm = (int32_t)to;
		found++;
	}
	return found;
}

int entry_load(const struct loader *loader, const struct entry *entry, int *ret_program)
{
	const struct bpf_program *template = loader->skeleton->progs.sonde_entry;
	size_t n = bpf_program__insn_cnt(template);
	_cleanup_(freep) struct bpf_insn *insns = calloc(n, sizeof(*insns));
	if (!insns)
		return -ENOMEM;

	memcpy(insns, bpf_program__insns(template), n * sizeof(*insns));
	if (!patch(insns, n, ENTRY_HOOK, entry->hook) || !patch(insns, n, ENTRY_STATS, entry->stats_index) ||
	    !patch(insns, n, ENTRY_LINK_TYPE, entry->link_type) ||
	    !patch(insns, n, ENTRY_LINK, LINK_WORD(entry->link_type, entry->domain)))
		return -EINVAL;
	int program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "sonde_entry", "GPL", insns, n, NULL);
	if (program < 0)
		return -errno;
	*ret_program = program;
	return 0;
}

static int map_open(const char *bpffs, const char *layout, const char *name, uint32_t value_size, int *ret_fd,
                    uint32_t *ret_max_entries)
{
	char path[PATH_MAX];
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	snprintf(path, sizeof(path), "%s/%s/%s", bpffs, layout, name);
	_cleanup_(closep) int fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	if (info.value_size != value_size)
		return -EINVAL;
	if (ret_max_entries)
		*ret_max_entries = info.max_entries;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int maps_open(const char *bpffs, const char *layout, struct sensor_maps *ret_maps)
{
	_cleanup_(maps_close) struct sensor_maps maps = { -1, -1, -1, -1, -1, -1, -1, -1, 0, 0 };
	const struct {
		const char *name;
		uint32_t value_size;
		int *fd;
		uint32_t *max_entries;
	} wanted[] = {
		{ "flows", sizeof(struct flow), &maps.flows, &maps.flows_max },
		{ "reported", sizeof(struct flow_reported), &maps.reported, NULL },
		{ "ifaces", sizeof(struct iface_info), &maps.ifaces, NULL },
		{ "iface_stats", sizeof(struct hook_stats), &maps.iface_stats, NULL },
		{ "record_stats", sizeof(struct record_stats), &maps.record_stats, NULL },
		{ "ring", 0, &maps.ring, &maps.ring_bytes },
		{ "books", sizeof(struct books_page), &maps.books, NULL },
		{ "self_sockets", sizeof(uint64_t), &maps.self_sockets, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		int r = map_open(bpffs, layout, wanted[i].name, wanted[i].value_size, wanted[i].fd,
		                 wanted[i].max_entries);
		if (r < 0)
			return r;
	}
	*ret_maps = maps;
	maps = (struct sensor_maps) { -1, -1, -1, -1, -1, -1, -1, -1, 0, 0 };
	return 0;
}

void maps_close(struct sensor_maps *maps)
{
	const int fds[] = { maps->flows,        maps->reported, maps->ifaces, maps->iface_stats,
		            maps->record_stats, maps->ring,     maps->books,  maps->self_sockets };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(&fds[i]);
}
