// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <uthash.h>
#include "user/place.h"

struct entry {
	struct link_info link;
	uint32_t iface_id; /* 0: not attached */
	bool told;         /* since places_begin */
	UT_hash_handle hh;
};

struct places {
	struct entry *entries; /* by link.ifindex */
};

/* What places_vlans() tells of one VLAN device. */
struct vlan_visit {
	void (*visit)(uint32_t iface_id, uint16_t vid, uint16_t outer, void *data);
	uint16_t vid, outer;
	void *data;
};

struct places *places_new(void)
{
	return calloc(1, sizeof(struct places));
}

static struct entry *find(const struct places *places, uint32_t ifindex)
{
	struct entry *entry;
	HASH_FIND(hh, places->entries, &ifindex, sizeof(ifindex), entry);
	return entry;
}

static void discard(struct places *places, struct entry *entry)
{
	HASH_DEL(places->entries, entry);
	free(entry);
}

void places_free(struct places *places)
{
	struct entry *entry, *next;
	if (!places)
		return;
	HASH_ITER (hh, places->entries, entry, next)
		discard(places, entry);
	free(places);
}

int places_set(struct places *places, const struct link_info *link, uint32_t iface_id)
{
	struct entry *entry = find(places, link->ifindex);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->link.ifindex = link->ifindex;
		HASH_ADD(hh, places->entries, link.ifindex, sizeof(entry->link.ifindex), entry);
	} else if (entry->iface_id == iface_id && entry->link.kind == link->kind && entry->link.vid == link->vid &&
	           entry->link.master == link->master && entry->link.lower == link->lower) {
		entry->told = true;
		return 0;
	}
	entry->link = *link;
	entry->iface_id = iface_id;
	entry->told = true;
	return 1;
}

bool places_remove(struct places *places, uint32_t ifindex)
{
	struct entry *entry = find(places, ifindex);
	if (entry)
		discard(places, entry);
	return entry;
}

void places_begin(struct places *places)
{
	for (struct entry *entry = places->entries; entry; entry = entry->hh.next)
		entry->told = false;
}

bool places_sweep(struct places *places)
{
	struct entry *entry, *next;
	bool removed = false;
	HASH_ITER (hh, places->entries, entry, next) {
		if (entry->told)
			continue;
		discard(places, entry);
		removed = true;
	}
	return removed;
}

static bool has_ports(enum link_kind kind)
{
	return kind == LINK_KIND_BRIDGE || kind == LINK_KIND_BOND || kind == LINK_KIND_TEAM || kind == LINK_KIND_VRF;
}

/*
 * Of something that is made of ports. Where some of them are not attached, the packets of those are seen at the upper
 * device alone: it has to be able to own.
 */
static enum hook_place place_above_ports(const struct places *places, uint32_t ifindex)
{
	unsigned ports = 0, attached = 0;
	for (const struct entry *entry = places->entries; entry; entry = entry->hh.next) {
		if (entry->link.master != ifindex)
			continue;
		ports++;
		attached += entry->iface_id != 0;
	}
	if (!attached)
		return PLACE_EDGE;
	return attached == ports ? PLACE_UPPER : PLACE_INNER;
}

static enum hook_place place_of(const struct places *places, const struct link_info *link)
{
	const struct entry *lower = link->lower ? find(places, link->lower) : NULL;
	bool lower_attached = lower && lower->iface_id;

	if (link->flags & IFF_LOOPBACK)
		return PLACE_INNER;
	switch (link->kind) {
	case LINK_KIND_BRIDGE:
	case LINK_KIND_BOND:
	case LINK_KIND_TEAM:
	case LINK_KIND_VRF:
		return place_above_ports(places, link->ifindex);
	case LINK_KIND_VLAN:
		return lower_attached ? PLACE_UPPER : PLACE_EDGE;
	case LINK_KIND_MACVLAN: /* siblings on one lower device reach each other without its hooks */
	case LINK_KIND_IPVLAN:
		return lower_attached ? PLACE_INNER : PLACE_EDGE;
	case LINK_KIND_VETH:
		return lower && lower->link.lower == link->ifindex ? PLACE_INNER : PLACE_EDGE;
	case LINK_KIND_IFB:
		return PLACE_INNER;
	case LINK_KIND_OTHER:
		break;
	}
	return PLACE_EDGE;
}

struct place places_find(const struct places *places, uint32_t ifindex)
{
	const struct entry *entry = find(places, ifindex);
	if (!entry)
		return (struct place) { .place = PLACE_EDGE };
	const struct entry *master = entry->link.master ? find(places, entry->link.master) : NULL;
	bool bonded = master && (master->link.kind == LINK_KIND_BOND || master->link.kind == LINK_KIND_TEAM);

	return (struct place) {
		.place = place_of(places, &entry->link),
		.iface_id = bonded && master->iface_id ? master->iface_id : entry->iface_id,
		.loops = entry->link.flags & IFF_LOOPBACK,
	};
}

/* Of a device where tagged frames are seen: the device itself, and where it is a bridge or a bond, its ports. */
static void visit_tagged(const struct places *places, const struct entry *device, const struct vlan_visit *vlan)
{
	if (device->iface_id)
		vlan->visit(places_find(places, device->link.ifindex).iface_id, vlan->vid, vlan->outer, vlan->data);
	if (!has_ports(device->link.kind))
		return;
	for (const struct entry *port = places->entries; port; port = port->hh.next)
		if (port->link.master == device->link.ifindex && port->iface_id)
			vlan->visit(places_find(places, port->link.ifindex).iface_id, vlan->vid, vlan->outer,
			            vlan->data);
}

void places_vlans(const struct places *places,
                  void (*visit)(uint32_t iface_id, uint16_t vid, uint16_t outer, void *data), void *data)
{
	for (const struct entry *vlan = places->entries; vlan; vlan = vlan->hh.next) {
		const struct entry *lower = find(places, vlan->link.lower);
		if (vlan->link.kind != LINK_KIND_VLAN || !lower)
			continue;
		visit_tagged(places, lower, &(struct vlan_visit) { visit, vlan->link.vid, 0, data });
		const struct entry *lowest = find(places, lower->link.lower);
		if (lower->link.kind == LINK_KIND_VLAN && lowest)
			visit_tagged(places, lowest,
			             &(struct vlan_visit) { visit, vlan->link.vid, lower->link.vid, data });
	}
}
