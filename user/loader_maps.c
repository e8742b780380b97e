// SPDX-License-Identifier: Apache-2.0
/* Maps that another loader left, by their pins. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "bpf/books.h"
#include "bpf/dedupe.h"
#include "bpf/iface.h"
#include "user/loader.h"

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
	_cleanup_(maps_close) struct sensor_maps maps = SENSOR_MAPS_CLOSED;
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
		{ "slots", sizeof(struct flow_slot), &maps.slots, &maps.slots_max },
		{ "details", sizeof(struct flow_details), &maps.details, NULL },
		{ "dedupe_stats", sizeof(struct dedupe_stats), &maps.dedupe_stats, NULL },
		{ "departed", sizeof(uint32_t), &maps.departed, NULL },
		{ "vlans", sizeof(uint8_t), &maps.vlans, NULL },
		{ "sockets", sizeof(struct socket_info), &maps.sockets, NULL },
		{ "bound", sizeof(uint64_t), &maps.bound, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		int r = map_open(bpffs, layout, wanted[i].name, wanted[i].value_size, wanted[i].fd,
		                 wanted[i].max_entries);
		if (r < 0)
			return r;
	}
	*ret_maps = maps;
	maps = SENSOR_MAPS_CLOSED;
	return 0;
}

void maps_close(struct sensor_maps *maps)
{
	const int fds[] = { maps->flows,        maps->reported,       maps->ifaces,       maps->iface_stats,
		            maps->record_stats, maps->ring,           maps->books,        maps->self_sockets,
		            maps->slots,        maps->details,        maps->dedupe_stats, maps->departed,
		            maps->vlans,        maps->policy_cgroups, maps->sockets,      maps->connections,
		            maps->bound,        maps->socket_owners };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(&fds[i]);
}
