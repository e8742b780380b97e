/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side as the loader holds it: programs loaded, maps pinned or taken over from the loader before. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include "bpf/config.h"
#include "bpf/event.h"
#include "user/cleanup.h"

/* Descriptors of the pinned maps; owned by whoever holds the struct. */
struct sensor_maps {
	int flows, reported, ifaces, iface_stats, record_stats, ring, books, self_sockets, slots;
	int details, dedupe_stats, departed, vlans, policy_cgroups;
	int sockets, connections, bound, socket_owners;
	uint32_t flows_max, ring_bytes, slots_max;
};

/* Nothing open: what maps_close takes without effect. */
#define SENSOR_MAPS_CLOSED                                                                                            \
	(struct sensor_maps)                                                                                          \
	{                                                                                                             \
		.flows = -1, .reported = -1, .ifaces = -1, .iface_stats = -1, .record_stats = -1, .ring = -1,         \
		.books = -1, .self_sockets = -1, .slots = -1, .details = -1, .dedupe_stats = -1, .departed = -1,      \
		.vlans = -1, .policy_cgroups = -1, .sockets = -1, .connections = -1, .bound = -1, .socket_owners = -1 \
	}

struct loader_options {
	const char *bpffs;  /* directory of the pins, prepared by pins_prepare; NULL: private maps, nothing is pinned */
	const char *filter; /* pcap-filter(7); NULL or empty: none */
	uint32_t flows_max;
	uint32_t ring_bytes;
	struct sensor_config config;
};

struct loader {
	struct sensor_bpf *skeleton; /* the programs in use */
	struct sensor_maps maps;
	int main;                  /* the main program in `filters` */
	char bpffs[PATH_MAX - 64]; /* "": private */
	char layout[17];
	uint32_t instructions;                       /* of the main program */
	uint32_t filter_instructions[LINK_TYPE_MAX]; /* of the filter; 0: there is none */
	char filter_refused[256]; /* why the filter matches nothing on raw IP interfaces; "": it can */
};

/*
 * Loads the programs, creates and pins the maps or takes over those that are pinned with the same layout, and puts the
 * main program and the filter into `filters`. Attaches nothing. 0 or -errno; what libbpf said of a failure is in
 * loader_messages().
 */
int loader_open(const struct loader_options *options, struct loader **ret_loader);

/* Loads everything and lets it go again, without a pin: would loader_open succeed? 0 or -errno. */
int loader_try(const struct loader_options *options);

/* The same for the socket hooks alone, without a message: does this kernel have what they call? */
int loader_try_sockets(void);

/*
 * Loads the programs anew with CONFIG and the filter, over the same maps, and swaps them in, atomically for each packet: it
 * is judged by the old expression or the new one. 0; -errno, and the old ones stay. Not for a private loader: -EINVAL.
 */
int loader_reconfigure(struct loader *loader, const struct loader_options *options);

/* Swaps the filter alone, likewise. */
int loader_set_filter(struct loader *loader, const char *expression);

/* Frees the descriptors. Pins, links and what is attached stay. */
void loader_free(struct loader *loader);
DEFINE_CLEANUP(struct loader *, loader_free)

/* Opens another layout's pinned maps, to drain it. -ENOENT or -EINVAL where they are not ours to read. Close with maps_close. */
int maps_open(const char *bpffs, const char *layout, struct sensor_maps *ret_maps);
void maps_close(struct sensor_maps *maps);

/* What libbpf printed, and the verifier said of a filter, in the last call of a loader function, the end of it; "" if nothing. */
const char *loader_messages(void);

/* What an entry stub is told of its hook. */
struct entry {
	uint32_t hook;        /* hook_number() */
	uint32_t stats_index; /* into iface_stats */
	enum link_type link_type;
	uint16_t domain; /* of the interface's network namespace, see struct flow_key */
};

/*
 * The entry stub of one hook: a copy of the loaded template with this hook's numbers. *ret_program is the caller's to
 * close. 0 or -errno.
 */
int entry_load(const struct loader *loader, const struct entry *entry, int *ret_program);
