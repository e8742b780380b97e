// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <bpf/bpf.h>
#include "user/attach.h"
#include "user/ifaces_internal.h"
#include "user/pins.h"
#include "user/vlans.h"

void iface_pin_path(const struct ifaces *ifaces, const struct iface *iface, enum direction direction,
                    char path[static PATH_MAX])
{
	pins_link_path(path, ifaces->loader->bpffs, ifaces->loader->layout, iface->id, direction == DIRECTION_EGRESS);
}

/* DEPARTED: ID itself or 0. A failure costs the time after which an owner that is silent is replaced in any case. */
static void tell_departed(const struct ifaces *ifaces, uint32_t id, uint32_t departed)
{
	uint32_t index = id % IFACE_SLOTS;
	bpf_map_update_elem(ifaces->loader->maps.departed, &index, &departed, BPF_ANY);
}

int iface_detach(const struct ifaces *ifaces, const struct iface *iface)
{
	int first = 0;
	for (int direction = 0; direction < DIRECTION_MAX; direction++) {
		char pin[PATH_MAX];
		iface_pin_path(ifaces, iface, direction, pin);
		int r = detach_hook(&iface->info, direction, pin);
		if (r < 0 && first == 0)
			first = r;
		/* At once: until then the packets of directions that it owned are taken for duplicates. */
		tell_departed(ifaces, iface->id, iface->id);
	}
	int r = detach_qdisc(&iface->info);
	return first < 0 ? first : r;
}

/* The map entry first: what is attached is always known to whoever comes next. */
int iface_store(const struct ifaces *ifaces, const struct iface *iface)
{
	return bpf_map_update_elem(ifaces->loader->maps.ifaces, &iface->id, &iface->info, BPF_ANY) < 0 ? -errno : 0;
}

/* The stub of one direction, in place of the one that is there. */
static int attach_direction(struct ifaces *ifaces, struct iface *iface, enum direction direction)
{
	/* What comes in at a loopback device has gone out there, whatever became of it: it never owns. */
	bool again = iface->place.loops && direction == DIRECTION_INGRESS;
	const struct entry entry = {
		.hook = hook_number(iface->place.iface_id, again ? PLACE_UPPER : iface->place.place, direction),
		.stats_index = iface->info.slot * DIRECTION_MAX + direction,
		.link_type = iface->info.link_type,
		.domain = iface->info.domain,
	};
	_cleanup_(closep) int program = -1;
	char pin[PATH_MAX];

	int r = entry_load(ifaces->loader, &entry, &program);
	if (r < 0)
		return r;
	iface_pin_path(ifaces, iface, direction, pin);
	r = attach_hook(&iface->info, direction, program, pin);
	if (r < 0)
		return r;
	ifaces->departed_run_ns += program_run_ns(iface->programs[direction]);
	closep(&iface->programs[direction]);
	iface->programs[direction] = TAKE_FD(program);
	return 0;
}

int iface_attach(struct ifaces *ifaces, struct iface *iface)
{
	int r = iface_store(ifaces, iface);
	if (!iface->attached)
		tell_departed(ifaces, iface->id, 0);
	iface->place = places_find(ifaces_places(ifaces, iface->info.domain), iface->info.ifindex);
	for (int direction = 0; direction < DIRECTION_MAX && r == 0; direction++)
		r = attach_direction(ifaces, iface, (enum direction)direction);
	if (r == 0)
		r = iface_store(ifaces, iface);
	if (r == 0)
		iface->attached = true;
	return r;
}

bool iface_is_over(const struct iface *iface)
{
	for (int direction = 0; iface->info.hook == IFACE_HOOK_CLSACT && direction < DIRECTION_MAX; direction++) {
		uint32_t id = iface->info.program_id[direction];
		_cleanup_(closep) int program = id ? bpf_prog_get_fd_by_id(id) : -1;
		if (id && (program >= 0 || errno != ENOENT))
			return false;
	}
	return true;
}

int ifaces_replace(struct ifaces *ifaces, uint16_t domain)
{
	const struct places *places = ifaces_places(ifaces, domain);
	struct iface *iface, *next;
	/* Where a VLAN ends in a pod, its packets are seen below, with their tag. */
	int first = domain ? 0 : vlans_tell(ifaces->loader->maps.vlans, places);
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		if (iface->info.domain != domain)
			continue;
		struct place place = places_find(places, iface->info.ifindex);
		if (!iface->attached || (place.place == iface->place.place && place.iface_id == iface->place.iface_id))
			continue;
		int r = iface_attach(ifaces, iface);
		/* One that has vanished will be told of. */
		if (r < 0 && r != -ENODEV && first == 0)
			first = r;
	}
	return first;
}
