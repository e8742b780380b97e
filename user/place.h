/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each interface stands on a packet's way (enum hook_place), from what the kernel tells of all links: which are
 * ports of which bridge, built on which device, peers of each other.
 */
#pragma once

#include <stdbool.h>
#include "bpf/flow.h"
#include "user/ifwatch.h"

/* All links of a network namespace, attached or not. */
struct places;

/* NULL: out of memory. Free with places_free. */
struct places *places_new(void);
void places_free(struct places *places);
DEFINE_CLEANUP(struct places *, places_free)

/*
 * LINK is there, attached under IFACE_ID (0: not attached). 1: others' places may have changed with it, 0: nothing has;
 * -ENOMEM.
 */
int places_set(struct places *places, const struct link_info *link, uint32_t iface_id);

/* A link is gone. True: others' places may have changed with it. */
bool places_remove(struct places *places, uint32_t ifindex);

/* Before all links are told anew, and after: those that were not told are removed. True: as places_remove. */
void places_begin(struct places *places);
bool places_sweep(struct places *places);

/* What the hooks of a link tell of themselves: the arguments of hook_number(). */
struct place {
	enum hook_place place;
	uint32_t iface_id; /* its own, or that of the bond or team it is a port of */
	bool loops;        /* the loopback device: whatever goes out there comes in again */
};

/* Of an attached link; one that is not known is an edge without an iface_id. */
struct place places_find(const struct places *places, uint32_t ifindex);

/*
 * Calls VISIT for each VLAN that this host terminates, as struct vlan_key has it: an attached interface on which frames come
 * with the tag VID of a VLAN device above it (OUTER: inside the tag of another one). The same may be told twice.
 */
void places_vlans(const struct places *places,
                  void (*visit)(uint32_t iface_id, uint16_t vid, uint16_t outer, void *data), void *data);
