// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "user/attach.h"
#include "user/ifaces_internal.h"
#include "user/pins.h"
#include "user/probe.h"

static struct iface *find(const struct ifaces *ifaces, uint16_t domain, uint32_t ifindex)
{
	const struct iface_key key = { domain, ifindex };
	struct iface *iface;
	HASH_FIND(by_key, ifaces->by_key, &key, sizeof(key), iface);
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
	iface->key = (struct iface_key) { iface->info.domain, iface->info.ifindex };
	HASH_ADD(by_key, ifaces->by_key, key, sizeof(iface->key), iface);
	ifaces->slots[iface->info.slot] = true;
	ifaces->inside += iface->info.domain != 0;
}

/* Never given again while the maps live, whoever has gone meanwhile. */
static uint32_t next_id(struct ifaces *ifaces)
{
	struct books_state *state = books_begin(ifaces->books);
	uint32_t id = ++state->iface_ids;
	books_commit(ifaces->books);
	return id;
}

/*
 * Its account goes to the departed, and its number is free. The books remember whose account they took last: a loader
 * killed before the map entry is removed does not make the next one take it twice.
 */
void iface_retire(struct ifaces *ifaces, struct iface *iface)
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
	ifaces->departed[i].ifindex = iface->info.domain ? 0 : iface->info.ifindex;
	memcpy(ifaces->departed[i].name, iface->info.name, IF_NAMESIZE);
	ifaces->slots[iface->info.slot] = false;
	ifaces->inside -= iface->info.domain != 0;
	for (int direction = 0; direction < DIRECTION_MAX; direction++)
		ifaces->departed_run_ns += program_run_ns(iface->programs[direction]);
	HASH_DELETE(by_id, ifaces->by_id, iface);
	HASH_DELETE(by_key, ifaces->by_key, iface);
	iface_free(iface);
}

static int new_iface(struct ifaces *ifaces, const struct link_info *link, int link_type, struct iface **ret_iface)
{
	uint32_t slot = 1;
	if (link->domain && ifaces->inside >= DOMAIN_SLOTS)
		return -ENOSPC;
	while (slot < IFACE_SLOTS && ifaces->slots[slot])
		slot++;
	if (slot == IFACE_SLOTS)
		return -ENOSPC;
	int r = iface_stats_clear(ifaces, slot);
	if (r < 0)
		return r;
	struct iface *iface = iface_new(next_id(ifaces));
	if (!iface)
		return -ENOMEM;
	struct netns_id netns = ifaces_netns(ifaces, link->domain);
	iface->info = (struct iface_info) {
		.netns_cookie = netns.cookie,
		.netns_inode = netns.inode,
		.ifindex = link->ifindex,
		.slot = slot,
		.domain = link->domain,
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
	struct iface *iface = find(ifaces, link->domain, link->ifindex);
	bool taken_over = iface && !iface->attached;
	int r;

	*ret_change = IFACE_UNCHANGED;
	if (!iface_is_selected(ifaces, link, iface)) {
		if (!iface)
			return 0;
		r = iface_detach(ifaces, iface);
		iface_retire(ifaces, iface);
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
	r = places_set(ifaces_places(ifaces, link->domain), link, iface->id);
	if (r >= 0)
		r = iface_attach(ifaces, iface);
	if (r < 0) {
		iface_detach(ifaces, iface);
		iface_retire(ifaces, iface);
		return r;
	}
	*ret_change = taken_over ? IFACE_TAKEN_OVER : IFACE_ATTACHED;
	return 0;
}

int ifaces_there(struct ifaces *ifaces, const struct link_info *link, bool may_attach, enum iface_change *ret_change)
{
	int r = select_link(ifaces, link, may_attach, ret_change);
	const struct iface *iface = find(ifaces, link->domain, link->ifindex);

	/* Also of a link that is not attached: others may be built on it. */
	int changed = places_set(ifaces_places(ifaces, link->domain), link, iface ? iface->id : 0);
	if (changed < 0 || r < 0)
		return r < 0 ? r : changed;
	return changed || *ret_change != IFACE_UNCHANGED ? ifaces_replace(ifaces, link->domain) : 0;
}

int ifaces_adopt(struct ifaces *ifaces, const char *layout, uint32_t id, const struct iface_info *info)
{
	struct iface_info there = *info;
	int r = ifaces_know_domain(ifaces, &there);
	if (r < 0)
		return r;
	const struct link_info link = { .ifindex = info->ifindex, .domain = there.domain };
	struct iface *iface = find(ifaces, link.domain, link.ifindex);
	if (iface)
		return 0;
	r = new_iface(ifaces, &link, info->link_type, &iface);
	if (r < 0)
		return r;
	there.slot = iface->info.slot;
	iface->info = there;
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

static bool gone(struct ifaces *ifaces, uint16_t domain, uint32_t ifindex)
{
	struct iface *iface = find(ifaces, domain, ifindex);
	if (iface) {
		/* The kernel let the hooks go with the device; what is left of them is a pin. */
		iface_detach(ifaces, iface);
		iface_retire(ifaces, iface);
	}
	if (places_remove(ifaces_places(ifaces, domain), ifindex))
		ifaces_replace(ifaces, domain);
	return iface;
}

bool ifaces_gone(struct ifaces *ifaces, uint32_t ifindex)
{
	return gone(ifaces, 0, ifindex);
}

void ifaces_domain_begin(struct ifaces *ifaces, uint16_t domain)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (iface->info.domain == domain)
			iface->told = false;
	places_begin(ifaces_places(ifaces, domain));
}

void ifaces_domain_sweep(struct ifaces *ifaces, uint16_t domain)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (iface->info.domain == domain && !iface->told)
			gone(ifaces, domain, iface->info.ifindex);
	if (places_sweep(ifaces_places(ifaces, domain)))
		ifaces_replace(ifaces, domain);
}

void ifaces_begin(struct ifaces *ifaces)
{
	ifaces_domain_begin(ifaces, 0);
}

void ifaces_sweep(struct ifaces *ifaces)
{
	ifaces_domain_sweep(ifaces, 0);
}

int ifaces_detach(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	int first = ifaces_domains_detach(ifaces);
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		int r = iface->info.domain ? 0 : iface_detach(ifaces, iface);
		if (r < 0 && first == 0)
			first = r;
	}
	/* Accounts are read once all hooks are gone: a packet on its way passes several. */
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		iface_retire(ifaces, iface);
	ifaces_domains_free(ifaces);
	return first;
}

static int load_entries(struct ifaces *ifaces)
{
	const struct loader *loader = ifaces->loader;
	uint32_t id, *previous = NULL;

	for (; bpf_map_get_next_key(loader->maps.ifaces, previous, &id) == 0; previous = &id) {
		struct iface *iface = iface_new(id);
		if (!iface)
			return -ENOMEM;
		if (bpf_map_lookup_elem(loader->maps.ifaces, &id, &iface->info) < 0 ||
		    iface->info.slot >= IFACE_SLOTS) {
			iface_free(iface);
			continue;
		}
		int r = ifaces_know_domain(ifaces, &iface->info);
		if (r < 0) {
			iface_free(iface);
			return r;
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
	ifaces->proc_root = options->proc_root;
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
		HASH_DELETE(by_key, ifaces->by_key, iface);
		iface_free(iface);
	}
	ifaces_domains_free(ifaces);
	patterns_clear(&ifaces->include);
	patterns_clear(&ifaces->exclude);
	places_free(ifaces->places);
	free(ifaces->cpu_stats);
	free(ifaces);
}
