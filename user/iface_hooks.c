// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <bpf/bpf.h>
#include "user/attach.h"
#include "user/ifaces_internal.h"
#include "user/pins.h"

void iface_pin_path(const struct ifaces *ifaces, const struct iface *iface, enum direction direction,
                    char path[static PATH_MAX])
{
	pins_link_path(path, ifaces->loader->bpffs, ifaces->loader->layout, iface->id, direction == DIRECTION_EGRESS);
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
	}
	int r = detach_qdisc(&iface->info);
	return first < 0 ? first : r;
}

/* The map entry first: what is attached is always known to whoever comes next. */
int iface_store(const struct ifaces *ifaces, const struct iface *iface)
{
	return bpf_map_update_elem(ifaces->loader->maps.ifaces, &iface->id, &iface->info, BPF_ANY) < 0 ? -errno : 0;
}

int iface_attach(struct ifaces *ifaces, struct iface *iface)
{
	int r = iface_store(ifaces, iface);
	for (int direction = 0; direction < DIRECTION_MAX && r == 0; direction++) {
		char pin[PATH_MAX];
		const struct entry entry = {
			.hook = hook_number(iface->id, PLACE_EDGE, (uint32_t)direction),
			.stats_index = iface->info.slot * DIRECTION_MAX + (uint32_t)direction,
			.link_type = iface->info.link_type,
		};
		r = entry_load(ifaces->loader, &entry, &iface->programs[direction]);
		if (r < 0)
			break;
		iface_pin_path(ifaces, iface, direction, pin);
		r = attach_hook(&iface->info, direction, iface->programs[direction], pin);
	}
	if (r == 0)
		r = iface_store(ifaces, iface);
	if (r == 0)
		iface->attached = true;
	return r;
}
