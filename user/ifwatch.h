/* SPDX-License-Identifier: Apache-2.0 */
/* Which interfaces there are, and which come and go: rtnetlink. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "user/cleanup.h"

/* What the kernel calls a link's kind, where it says something about a packet's way (place.h). */
enum link_kind {
	LINK_KIND_OTHER,
	LINK_KIND_BRIDGE,
	LINK_KIND_BOND,
	LINK_KIND_TEAM,
	LINK_KIND_VRF,
	LINK_KIND_VLAN,
	LINK_KIND_MACVLAN, /* and macvtap */
	LINK_KIND_IPVLAN,  /* and ipvtap */
	LINK_KIND_VETH,
	LINK_KIND_IFB,
};

struct link_info {
	uint32_t ifindex;
	uint32_t master; /* ifindex of the bridge, bond, team or VRF that it is a port of; 0: of none */
	uint32_t
		lower; /* ifindex of the device it is built on, or of a veth's peer; 0: none in this network namespace */
	uint16_t domain; /* of the network namespace it is in, see struct iface_info; 0: the sensor's own */
	uint16_t type;   /* ARPHRD_* */
	uint16_t vid;    /* of a VLAN device */
	bool elsewhere;  /* what it is built on, or its peer, is in another network namespace */
	enum link_kind kind;
	unsigned flags; /* IFF_* */
	char name[IF_NAMESIZE];
};

/*
 * What the watcher tells. There: an interface exists, is new, or changed (told again as often as the kernel does). Gone:
 * by ifindex. Dumped: everything that exists has been told since ifwatch_dump; what was not told is gone.
 */
struct ifwatch_events {
	void (*there)(const struct link_info *link, void *data);
	void (*gone)(uint32_t ifindex, void *data);
	void (*dumped)(void *data);
	void *data;
};

struct ifwatch;

/* 0 or -errno. Free with ifwatch_free. */
int ifwatch_open(const struct ifwatch_events *events, struct ifwatch **ret_watch);
void ifwatch_free(struct ifwatch *watch);
DEFINE_CLEANUP(struct ifwatch *, ifwatch_free)

/* Readable when ifwatch_read has something to do; non-blocking. */
int ifwatch_fd(const struct ifwatch *watch);

/* Asks for all interfaces; they are told by ifwatch_read. 0 or -errno. */
int ifwatch_dump(struct ifwatch *watch);

/*
 * Tells what has arrived. Where the kernel dropped notifications (its queue was full) it dumps anew by itself. 0 or
 * -errno.
 */
int ifwatch_read(struct ifwatch *watch);
