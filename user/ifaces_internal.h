/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of interfaces, shared by ifaces.c (which there are), ifaces_domains.c (in pods), iface_*.c and ifaces_account.c. */
#pragma once

#include <uthash.h>
#include "user/ifaces.h"
#include "user/patterns.h"
#include "user/place.h"
#include "user/program.h"

/* Of the slots, pods may take so many: however many there are, the host's own interfaces find room. */
#define DOMAIN_SLOTS (IFACE_SLOTS / 2 - 1)

/* Names kept of interfaces that are gone, for the last records of their flows. */
#define DEPARTED_NAMES 1024

/* Two network namespaces may have the same ifindex. */
struct iface_key {
	uint32_t domain, ifindex; /* as in struct iface_info */
};

struct iface {
	uint32_t id;
	struct iface_key key;
	struct iface_info info;
	bool attached;               /* by this process: before that it is only what the map says */
	bool told;                   /* since ifaces_begin */
	struct place place;          /* as its hooks have it */
	int programs[DIRECTION_MAX]; /* the entry stubs, for their run time; -1: none */
	UT_hash_handle by_id, by_key;
};

/* A network namespace other than the sensor's own that has, or had, interfaces of ours in it. */
struct domain {
	uint16_t number;
	struct netns_id netns;
	pid_t pid; /* a process in it; 0: none is known */
	struct places *places;
	UT_hash_handle hh;
};

struct ifaces {
	const struct loader *loader;
	struct books *books;
	struct patterns include, exclude;
	const char *proc_root;
	struct places *places; /* of all links in the sensor's own namespace, those that are not attached included */
	struct iface *by_id, *by_key;
	struct domain *domains; /* by number */
	uint64_t refused[REFUSAL_MAX];
	bool slots[IFACE_SLOTS];
	unsigned inside; /* of the slots, those of interfaces in other network namespaces */
	struct {
		uint32_t id;
		uint32_t ifindex; /* 0: it was in another network namespace than the sensor's */
		char name[IF_NAMESIZE];
	} departed[DEPARTED_NAMES];
	size_t departures;
	uint64_t departed_run_ns;
	struct hook_stats *cpu_stats; /* room for one value of iface_stats: one a CPU */
	int cpus;
};

/* iface_select.c: LINK is to be attached; ATTACHED: it is. */
bool iface_is_selected(const struct ifaces *ifaces, const struct link_info *link, bool attached);
/*
 * iface_select.c: what a frame on a device of TYPE (ARPHRD_*) begins with, enum link_type; -EPROTONOSUPPORT: something else
 * (radio headers, CAN, InfiniBand, ...).
 */
int link_type_of(uint16_t type);

/* ifaces.c: the interfaces of DOMAIN before and after they are told of. */
void ifaces_domain_begin(struct ifaces *ifaces, uint16_t domain);
void ifaces_domain_sweep(struct ifaces *ifaces, uint16_t domain);
/* ifaces.c: the account of one that is detached goes to the departed; frees IFACE. */
void iface_retire(struct ifaces *ifaces, struct iface *iface);
/* ifaces_domains.c: the links of DOMAIN, and which namespace it is (of the sensor's own nothing is told). */
struct places *ifaces_places(const struct ifaces *ifaces, uint16_t domain);
struct netns_id ifaces_netns(const struct ifaces *ifaces, uint16_t domain);
/*
 * ifaces_domains.c: makes known the namespace of an interface that is there already, under a number of its own, which may not
 * be the one in INFO. 0 or -errno.
 */
int ifaces_know_domain(struct ifaces *ifaces, struct iface_info *info);
/* ifaces_domains.c: detaches from all other namespaces, retires nothing; frees all there is of them. */
int ifaces_domains_detach(struct ifaces *ifaces);
void ifaces_domains_free(struct ifaces *ifaces);

/*
 * iface_hooks.c: both hooks of one interface, with the place it has now; of one that is attached they are replaced,
 * atomically for each packet. To be called in its namespace; a tcx link can be detached from anywhere. 0 or -errno; detaching
 * goes on to the end and returns the first error.
 */
int iface_attach(struct ifaces *ifaces, struct iface *iface);
int iface_detach(const struct ifaces *ifaces, const struct iface *iface);
/* iface_hooks.c: no clsact filter of it is left; true for one with tcx links as well: those can be detached in any case. */
bool iface_is_over(const struct iface *iface);
/*
 * iface_hooks.c: what is built on what has changed in DOMAIN: replaces the hooks whose place is another one now, and tells the
 * programs which VLANs end here. 0, or the first error after all was tried.
 */
int ifaces_replace(struct ifaces *ifaces, uint16_t domain);
/* Writes what is known of it into map `ifaces`, for the next loader. 0 or -errno. */
int iface_store(const struct ifaces *ifaces, const struct iface *iface);
/* Where the link of one direction is pinned. */
void iface_pin_path(const struct ifaces *ifaces, const struct iface *iface, enum direction direction,
                    char path[static PATH_MAX]);

/* The account of SLOT, summed over CPUs, and its reset before the slot is used again. 0 or -errno. */
int iface_stats_read(const struct ifaces *ifaces, uint32_t slot, struct hook_stats ret_stats[static DIRECTION_MAX]);
int iface_stats_clear(const struct ifaces *ifaces, uint32_t slot);
