// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/conntrack.h"
#include "user/loader.h"
#include "user/loader_filter.h"
#include "user/loader_messages.h"
#include "user/loader_skeleton.h"

static int load_filter(const struct sensor_bpf *skeleton, const char *expression, struct loaded_filter *ret_filter)
{
	const struct filter_maps maps = { bpf_map__fd(skeleton->maps.filters), bpf_map__fd(skeleton->maps.iface_stats),
		                          skeleton->rodata->sensor.replay };
	_cleanup_(buf_free) struct buf log = BUF_INIT(LOADER_MESSAGES_MAX);
	int r = loaded_filter_load(expression, &maps, &log, ret_filter);
	if (r < 0)
		loader_messages_keep(buf_text(&log));
	return r;
}

/* The pins of programs are only for people with bpftool: the slots of `filters` hold them. -1: no such program. */
static int pin_program(const struct loader *loader, const char *name, int program)
{
	char path[PATH_MAX];
	if (!*loader->bpffs)
		return 0;
	snprintf(path, sizeof(path), "%s/%s/%s", loader->bpffs, loader->layout, name);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return program >= 0 && bpf_obj_pin(program, path) < 0 ? -errno : 0;
}

static int set_slot(const struct sensor_bpf *skeleton, enum program_slot slot, int program)
{
	uint32_t index = slot;
	return bpf_map_update_elem(bpf_map__fd(skeleton->maps.filters), &index, &program, BPF_ANY) < 0 ? -errno : 0;
}

/* MAIN: what packets go to where there is no expression. */
static int swap_filter(struct loader *loader, const struct loaded_filter *filter, int main)
{
	static const char *const pins[LINK_TYPE_MAX] = {
		[LINK_ETHERNET] = "sonde_filter_eth",
		[LINK_RAW_IP] = "sonde_filter_raw",
	};

	for (uint32_t link_type = 0; link_type < LINK_TYPE_MAX; link_type++) {
		int program = filter->programs[link_type].fd;
		int r = set_slot(loader->skeleton, (enum program_slot)link_type, program >= 0 ? program : main);
		if (r == 0)
			r = pin_program(loader, pins[link_type], program);
		if (r < 0)
			return r;
		loader->filter_instructions[link_type] = filter->programs[link_type].instructions;
	}
	snprintf(loader->filter_refused, sizeof(loader->filter_refused), "%s", buf_text(&filter->refused));
	return 0;
}

static int set_conntrack(const struct loader *loader, const struct sensor_bpf *skeleton)
{
	_cleanup_(closep) int program = -1;
	if (!skeleton->rodata->sensor.conntrack)
		return 0;
	int r = conntrack_load(bpf_map__fd(skeleton->maps.details), bpf_map__fd(skeleton->maps.details_request),
	                       &program);
	if (r == 0)
		r = set_slot(skeleton, PROGRAM_CONNTRACK, program);
	return r < 0 ? r : pin_program(loader, "sonde_conntrack", program);
}

/* What a filter calls comes first; then what calls it. */
static int swap_programs(struct loader *loader, const struct sensor_bpf *skeleton, const struct loaded_filter *filter)
{
	int main = bpf_program__fd(skeleton->progs.sonde_main);
	int filtered = bpf_program__fd(skeleton->progs.sonde_filtered);
	int r = set_conntrack(loader, skeleton);
	if (r == 0)
		r = set_slot(skeleton, PROGRAM_MAIN, main);
	if (r == 0)
		r = set_slot(skeleton, PROGRAM_FILTERED, filtered);
	if (r == 0)
		r = swap_filter(loader, filter, main);
	if (r < 0)
		return r;
	r = fcntl(main, F_DUPFD_CLOEXEC, 0);
	if (r < 0)
		return -errno;
	closep(&loader->main);
	loader->main = r;
	loader->instructions = (uint32_t)bpf_program__insn_cnt(skeleton->progs.sonde_main);
	r = pin_program(loader, "sonde_filtered", filtered);
	return r < 0 ? r : pin_program(loader, "sonde_main", main);
}

static unsigned int all_parts(const struct loader_options *options)
{
	return options->config.sockets ? SKELETON_PACKETS | SKELETON_SOCKETS : SKELETON_PACKETS;
}

int loader_try(const struct loader_options *options)
{
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	struct loader_options private = *options;
	struct sensor_bpf *skeleton;
	char layout[17];

	private.bpffs = NULL;
	int r = skeleton_load(&private, all_parts(&private), &skeleton, layout);
	if (r < 0)
		return r;
	r = load_filter(skeleton, options->filter, &filter);
	sensor_bpf__destroy(skeleton);
	return r;
}

int loader_try_sockets(void)
{
	const struct loader_options options = { .flows_max = 1, .ring_bytes = 4096, .config = { .sockets = 1 } };
	struct sensor_bpf *skeleton;
	char layout[17];
	int r = skeleton_load(&options, SKELETON_SOCKETS, &skeleton, layout);
	if (r == 0)
		sensor_bpf__destroy(skeleton);
	loader_messages_clear();
	return r;
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
		.slots = bpf_map__fd(skeleton->maps.slots),
		.policy_cgroups = bpf_map__fd(skeleton->maps.policy_cgroups),
		.details = bpf_map__fd(skeleton->maps.details),
		.dedupe_stats = bpf_map__fd(skeleton->maps.dedupe_stats),
		.departed = bpf_map__fd(skeleton->maps.departed),
		.vlans = bpf_map__fd(skeleton->maps.vlans),
		.sockets = bpf_map__fd(skeleton->maps.sockets),
		.connections = bpf_map__fd(skeleton->maps.connections),
		.bound = bpf_map__fd(skeleton->maps.bound),
		.socket_owners = bpf_map__fd(skeleton->maps.socket_owners),
		.flows_max = bpf_map__max_entries(skeleton->maps.flows),
		.ring_bytes = bpf_map__max_entries(skeleton->maps.ring),
		.slots_max = bpf_map__max_entries(skeleton->maps.slots),
	};
}

int loader_open(const struct loader_options *options, struct loader **ret_loader)
{
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	_cleanup_(loader_freep) struct loader *loader = calloc(1, sizeof(*loader));
	if (!loader)
		return -ENOMEM;
	loader->main = -1;
	snprintf(loader->bpffs, sizeof(loader->bpffs), "%s", options->bpffs ? options->bpffs : "");
	int r = skeleton_load(options, all_parts(options), &loader->skeleton, loader->layout);
	if (r < 0)
		return r;
	maps_of_skeleton(loader->skeleton, &loader->maps);
	r = load_filter(loader->skeleton, options->filter, &filter);
	if (r == 0)
		r = swap_programs(loader, loader->skeleton, &filter);
	if (r < 0)
		return r;
	*ret_loader = TAKE_PTR(loader);
	return 0;
}

int loader_reconfigure(struct loader *loader, const struct loader_options *options)
{
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	struct sensor_bpf *skeleton;
	char layout[17];
	if (!options->bpffs || !*loader->bpffs)
		return -EINVAL;
	/* The socket hooks stay as they are: nothing that can change concerns them. */
	int r = skeleton_load(options, SKELETON_PACKETS, &skeleton, layout);
	if (r < 0)
		return r;
	if (strcmp(layout, loader->layout) != 0)
		r = -EINVAL;
	if (r == 0)
		r = load_filter(skeleton, options->filter, &filter);
	if (r == 0)
		r = swap_programs(loader, skeleton, &filter);
	/* The old skeleton keeps the maps' descriptors that others use; the programs of the new one live in `filters`. */
	sensor_bpf__destroy(skeleton);
	return r;
}

int loader_set_filter(struct loader *loader, const char *expression)
{
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	loader_messages_clear();
	int r = load_filter(loader->skeleton, expression, &filter);
	return r < 0 ? r : swap_filter(loader, &filter, loader->main);
}

void loader_free(struct loader *loader)
{
	if (!loader)
		return;
	closep(&loader->main);
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
