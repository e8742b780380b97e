/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of interfaces, shared by ifaces.c (which there are), iface_hooks.c and ifaces_account.c (their names, and what they counted). */
#pragma once

#include <uthash.h>
#include "user/ifaces.h"
#include "user/patterns.h"
#include "user/place.h"

/* Names kept of interfaces that are gone, for the last records of their flows. */
#define DEPARTED_NAMES 1024

struct iface {
	uint32_t id;
	struct iface_info info;
	bool attached;               /* by this process: before that it is only what the map says */
	bool told;                   /* since ifaces_begin */
	struct place place;          /* as its hooks have it */
	int programs[DIRECTION_MAX]; /* the entry stubs, for their run time; -1: none */
	UT_hash_handle by_id, by_ifindex;
};

struct ifaces {
	const struct loader *loader;
	struct books *books;
	struct patterns include, exclude;
	struct places *places; /* of all links, those that are not attached included */
	struct iface *by_id, *by_ifindex;
	bool slots[IFACE_SLOTS];
	uint32_t next_id;
	struct {
		uint32_t id;
		char name[IF_NAMESIZE];
	} departed[DEPARTED_NAMES];
	size_t departures;
	uint64_t departed_run_ns;
	struct hook_stats *cpu_stats; /* room for one value of iface_stats: one a CPU */
	int cpus;
};

/*
 * iface_hooks.c: both hooks of one interface, with the place it has now; of one that is attached they are replaced,
 * atomically for each packet. 0 or -errno; detaching goes on to the end and returns the first error.
 */
int iface_attach(struct ifaces *ifaces, struct iface *iface);
int iface_detach(const struct ifaces *ifaces, const struct iface *iface);
/*
 * iface_hooks.c: what is built on what has changed: replaces the hooks whose place is another one now, and tells the
 * programs which VLANs end here. 0, or the first error after all was tried.
 */
int ifaces_replace(struct ifaces *ifaces);
/* Writes what is known of it into map `ifaces`, for the next loader. 0 or -errno. */
int iface_store(const struct ifaces *ifaces, const struct iface *iface);
/* Where the link of one direction is pinned. */
void iface_pin_path(const struct ifaces *ifaces, const struct iface *iface, enum direction direction,
                    char path[static PATH_MAX]);

/* The account of SLOT, summed over CPUs, and its reset before the slot is used again. 0 or -errno. */
int iface_stats_read(const struct ifaces *ifaces, uint32_t slot, struct hook_stats ret_stats[static DIRECTION_MAX]);
int iface_stats_clear(const struct ifaces *ifaces, uint32_t slot);

/* Time spent in a program, ns; 0 where it is not measured, or PROGRAM is -1. */
uint64_t program_run_ns(int program);
