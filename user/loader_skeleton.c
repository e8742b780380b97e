// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/books.h"
#include "bpf/iface.h"
#include "user/loader_messages.h"
#include "user/loader_skeleton.h"
#include "user/pins.h"

/* Entries of map `sockets`, and of `connections`. */
#define SOCKETS_MIN 1024
#define SOCKETS_MAX 65536

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

static int unset_pin_paths(struct sensor_bpf *skeleton)
{
	struct bpf_map *map;
	int r = 0;
	bpf_object__for_each_map(map, skeleton->obj) if (r == 0 && !bpf_map__is_internal(map)) r =
		bpf_map__set_pin_path(map, NULL);
	return r;
}

/* An eighth of the flows: most of them share their sockets with others, or have theirs elsewhere. */
static uint32_t sockets_max(const struct loader_options *options)
{
	uint32_t max = options->flows_max / 8;
	if (!options->config.sockets)
		return 1;
	return max < SOCKETS_MIN ? SOCKETS_MIN : max > SOCKETS_MAX ? SOCKETS_MAX : max;
}

static void choose_programs(struct sensor_bpf *skeleton, unsigned int parts)
{
	struct bpf_program *program;
	bpf_object__for_each_program(program, skeleton->obj)
	{
		bool is_packets = bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS;
		bpf_program__set_autoload(program, parts & (is_packets ? SKELETON_PACKETS : SKELETON_SOCKETS));
	}
}

static struct sensor_bpf *skeleton_open(const struct loader_options *options)
{
	loader_messages_clear();
	libbpf_set_print(loader_messages_print);
	struct sensor_bpf *skeleton = sensor_bpf__open();
	if (!skeleton)
		return NULL;
	skeleton->rodata->sensor = options->config;
	bpf_map__set_max_entries(skeleton->maps.flows, options->flows_max);
	bpf_map__set_max_entries(skeleton->maps.reported, options->flows_max);
	bpf_map__set_max_entries(skeleton->maps.slots, SLOTS_PER_CPU * (uint32_t)libbpf_num_possible_cpus());
	bpf_map__set_max_entries(skeleton->maps.ring, options->ring_bytes);
	bpf_map__set_max_entries(skeleton->maps.sockets, sockets_max(options));
	bpf_map__set_max_entries(skeleton->maps.connections, sockets_max(options));
	return skeleton;
}

int skeleton_load(const struct loader_options *options, unsigned int parts, struct sensor_bpf **ret_skeleton,
                  char layout[static 17])
{
	struct sensor_bpf *skeleton = skeleton_open(options);
	if (!skeleton)
		return -errno;
	choose_programs(skeleton, parts);
	layout_name(skeleton, layout);

	bool made = false;
	int r = options->bpffs ? set_pin_paths(skeleton, options->bpffs, layout, &made) : unset_pin_paths(skeleton);
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
