// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <net/if_arp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/attach.h"
#include "user/ifaces_internal.h"
#include "user/pins.h"
#include "user/probe.h"

#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823 /* <linux/if_arp.h>, which cannot stand beside <net/if.h> */
#endif

int ifaces_select(struct ifaces *ifaces, const struct config_list *include, const struct config_list *exclude)
{
	_cleanup_(patterns_clear) struct patterns included = { 0 };
	_cleanup_(patterns_clear) struct patterns excluded = { 0 };
	int r = patterns_compile(include, &included);
	if (r < 0)
		return r;
	r = patterns_compile(exclude, &excluded);
	if (r < 0)
		return r;
	patterns_swap(&ifaces->include, &included);
	patterns_swap(&ifaces->exclude, &excluded);
	return 0;
}

static bool is_selected(const struct ifaces *ifaces, const struct link_info *link)
{
	if (link->flags & IFF_LOOPBACK || patterns_match(&ifaces->exclude, link->name))
		return false;
	return ifaces->include.n == 0 || patterns_match(&ifaces->include, link->name);
}

/* What a frame on the device begins with; -EPROTONOSUPPORT: something else (radio headers, CAN, InfiniBand, ...). */
static int link_type_of(uint16_t type)
{
	switch (type) {
	case ARPHRD_ETHER:
		return LINK_ETHERNET;
	case ARPHRD_NONE: /* tun, wireguard */
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return LINK_RAW_IP;
	default:
		return -EPROTONOSUPPORT;
	}
}

static struct iface *find(const struct ifaces *ifaces, uint32_t ifindex)
{
	struct iface *iface;
	HASH_FIND(by_ifindex, ifaces->by_ifindex, &ifindex, sizeof(ifindex), iface);
	return iface;
}

static void iface_free(struct iface *iface)
{
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		closep(&iface->programs[direction]);
	free(iface);
}

static struct iface *iface_new(uint32_t id)
{
	struct iface *iface = calloc(1, sizeof(*iface));
	if (!iface)
		return NULL;
	iface->id = id;
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		iface->programs[direction] = -1;
	return iface;
}

static void add(struct ifaces *ifaces, struct iface *iface)
{
	HASH_ADD(by_id, ifaces->by_id, id, sizeof(iface->id), iface);
	HASH_ADD(by_ifindex, ifaces->by_ifindex, info.ifindex, sizeof(iface->info.ifindex), iface);
	ifaces->slots[iface->info.slot] = true;
	if (iface->id >= ifaces->next_id)
		ifaces->next_id = iface->id + 1;
}

/*
 * Its account goes to the departed, and its number is free. The books remember whose account they took last: a loader
 * killed before the map entry is removed does not make the next one take it twice.
 */
static void retire(struct ifaces *ifaces, struct iface *iface)
{
	struct hook_stats stats[DIRECTION_MAX] = { 0 };
	iface_stats_read(ifaces, iface->info.slot, stats);

	struct books_state *state = books_begin(ifaces->books);
	if (state->departed_iface_id != iface->id)
		for (int direction = 0; direction < DIRECTION_MAX; direction++)
			hook_stats_add(&state->departed[direction], &stats[direction]);
	state->departed_iface_id = iface->id;
	books_commit(ifaces->books);
	bpf_map_delete_elem(ifaces->loader->maps.ifaces, &iface->id);

	size_t i = ifaces->departures++ % DEPARTED_NAMES;
	ifaces->departed[i].id = iface->id;
	memcpy(ifaces->departed[i].name, iface->info.name, IF_NAMESIZE);
	ifaces->slots[iface->info.slot] = false;
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		ifaces->departed_run_ns += program_run_ns(iface->programs[direction]);
	HASH_DELETE(by_id, ifaces->by_id, iface);
	HASH_DELETE(by_ifindex, ifaces->by_ifindex, iface);
	iface_free(iface);
}

static int new_iface(struct ifaces *ifaces, const struct link_info *link, int link_type, struct iface **ret_iface)
{
	uint32_t slot = 1;
	while (slot < IFACE_SLOTS && ifaces->slots[slot])
		slot++;
	if (slot == IFACE_SLOTS)
		return -ENOSPC;
	int r = iface_stats_clear(ifaces, slot);
	if (r < 0)
		return r;
	struct iface *iface = iface_new(ifaces->next_id);
	if (!iface)
		return -ENOMEM;
	iface->info = (struct iface_info) {
		.ifindex = link->ifindex,
		.slot = slot,
		.hook = feature_available(FEATURE_TCX) ? IFACE_HOOK_TCX : IFACE_HOOK_CLSACT,
		.link_type = (uint8_t)link_type,
	};
	memcpy(iface->info.name, link->name, IF_NAMESIZE);
	add(ifaces, iface);
	*ret_iface = iface;
	return 0;
}

static int select_link(struct ifaces *ifaces, const struct link_info *link, bool may_attach,
                       enum iface_change *ret_change)
{
	struct iface *iface = find(ifaces, link->ifindex);
	bool taken_over = iface && !iface->attached;
	int r;

	*ret_change = IFACE_UNCHANGED;
	if (!is_selected(ifaces, link)) {
		if (!iface)
			return 0;
		r = iface_detach(ifaces, iface);
		retire(ifaces, iface);
		*ret_change = IFACE_DETACHED;
		return r;
	}
	if (!iface) {
		int link_type = link_type_of(link->type);
		if (!may_attach || link_type < 0)
			return may_attach ? link_type : 0;
		r = new_iface(ifaces, link, link_type, &iface);
		if (r < 0)
			return r;
	}
	iface->told = true;
	if (strcmp(iface->info.name, link->name) != 0) {
		memcpy(iface->info.name, link->name, IF_NAMESIZE);
		*ret_change = IFACE_RENAMED;
		r = iface_store(ifaces, iface);
		if (r < 0)
			return r;
	}
	if (iface->attached)
		return 0;
	r = places_set(ifaces->places, link, iface->id);
	if (r >= 0)
		r = iface_attach(ifaces, iface);
	if (r < 0) {
		iface_detach(ifaces, iface);
		retire(ifaces, iface);
		return r;
	}
	*ret_change = taken_over ? IFACE_TAKEN_OVER : IFACE_ATTACHED;
	return 0;
}

int ifaces_there(struct ifaces *ifaces, const struct link_info *link, bool may_attach, enum iface_change *ret_change)
{
	int r = select_link(ifaces, link, may_attach, ret_change);
	const struct iface *iface = find(ifaces, link->ifindex);

	/* Also of a link that is not attached: others may be built on it. */
	int changed = places_set(ifaces->places, link, iface ? iface->id : 0);
	if (changed < 0 || r < 0)
		return r < 0 ? r : changed;
	return changed || *ret_change != IFACE_UNCHANGED ? ifaces_replace(ifaces) : 0;
}

int ifaces_adopt(struct ifaces *ifaces, const char *layout, uint32_t id, const struct iface_info *info)
{
	const struct link_info link = { .ifindex = info->ifindex };
	struct iface *iface = find(ifaces, info->ifindex);
	if (iface)
		return 0;
	int r = new_iface(ifaces, &link, info->link_type, &iface);
	if (r < 0)
		return r;
	uint32_t slot = iface->info.slot;
	iface->info = *info;
	iface->info.slot = slot;
	if (info->hook != IFACE_HOOK_TCX)
		return iface_store(ifaces, iface);

	for (int direction = 0; direction < DIRECTION_MAX; direction++) {
		char theirs[PATH_MAX], ours[PATH_MAX];
		pins_link_path(theirs, ifaces->loader->bpffs, layout, id, direction == DIRECTION_EGRESS);
		iface_pin_path(ifaces, iface, direction, ours);
		_cleanup_(closep) int fd = bpf_obj_get(theirs);
		if (fd < 0 || bpf_obj_pin(fd, ours) < 0)
			return -errno;
		unlink(theirs);
	}
	return iface_store(ifaces, iface);
}

bool ifaces_gone(struct ifaces *ifaces, uint32_t ifindex)
{
	struct iface *iface = find(ifaces, ifindex);
	if (iface) {
		/* The kernel let the hooks go with the device; what is left of them is a pin. */
		iface_detach(ifaces, iface);
		retire(ifaces, iface);
	}
	if (places_remove(ifaces->places, ifindex))
		ifaces_replace(ifaces);
	return iface;
}

void ifaces_begin(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		iface->told = false;
	places_begin(ifaces->places);
}

void ifaces_sweep(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (!iface->told)
			ifaces_gone(ifaces, iface->info.ifindex);
	if (places_sweep(ifaces->places))
		ifaces_replace(ifaces);
}

int ifaces_detach(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	int first = 0;
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		int r = iface_detach(ifaces, iface);
		if (r < 0 && first == 0)
			first = r;
	}
	/* Accounts are read once all hooks are gone: a packet on its way passes several. */
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		retire(ifaces, iface);
	return first;
}

static int load_entries(struct ifaces *ifaces)
{
	const struct loader *loader = ifaces->loader;
	struct books_state state;
	uint32_t id, *previous = NULL;

	books_read(ifaces->books, &state);
	ifaces->next_id = (uint32_t)state.departed_iface_id + 1;
	for (; bpf_map_get_next_key(loader->maps.ifaces, previous, &id) == 0; previous = &id) {
		struct iface *iface = iface_new(id);
		if (!iface)
			return -ENOMEM;
		if (bpf_map_lookup_elem(loader->maps.ifaces, &id, &iface->info) < 0 ||
		    iface->info.slot >= IFACE_SLOTS) {
			iface_free(iface);
			continue;
		}
		add(ifaces, iface);
	}
	return 0;
}

int ifaces_open(const struct ifaces_options *options, struct ifaces **ret_ifaces)
{
	_cleanup_(ifaces_freep) struct ifaces *ifaces = calloc(1, sizeof(*ifaces));
	if (!ifaces)
		return -ENOMEM;
	ifaces->loader = options->loader;
	ifaces->books = options->books;
	ifaces->cpus = libbpf_num_possible_cpus();
	if (ifaces->cpus < 0)
		return ifaces->cpus;
	ifaces->cpu_stats = calloc((size_t)ifaces->cpus, sizeof(*ifaces->cpu_stats));
	ifaces->places = places_new();
	if (!ifaces->cpu_stats || !ifaces->places)
		return -ENOMEM;
	int r = ifaces_select(ifaces, options->include, options->exclude);
	if (r == 0)
		r = load_entries(ifaces);
	if (r < 0)
		return r;
	*ret_ifaces = TAKE_PTR(ifaces);
	return 0;
}

void ifaces_free(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	if (!ifaces)
		return;
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		HASH_DELETE(by_id, ifaces->by_id, iface);
		HASH_DELETE(by_ifindex, ifaces->by_ifindex, iface);
		iface_free(iface);
	}
	patterns_clear(&ifaces->include);
	patterns_clear(&ifaces->exclude);
	places_free(ifaces->places);
	free(ifaces->cpu_stats);
	free(ifaces);
}
