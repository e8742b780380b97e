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
	int flows, reported, ifaces, iface_stats, record_stats, ring, books, self_sockets;
	uint32_t flows_max, ring_bytes;
};

struct loader_options {
	const char *bpffs; /* directory of the pins, prepared by pins_prepare */
	uint32_t flows_max;
	uint32_t ring_bytes;
	struct sensor_config config;
};

struct loader {
	struct sensor_bpf *skeleton; /* the programs in use */
	struct sensor_maps maps;
	char bpffs[PATH_MAX - 64];
	char layout[17];
	uint32_t instructions; /* of the main program */
};

/*
 * Loads the programs, creates and pins the maps or takes over those that are pinned with the same layout, and puts the
 * main program into `filters`. Attaches nothing. 0 or -errno; what libbpf said of a failure is in loader_messages().
 */
int loader_open(const struct loader_options *options, struct loader **ret_loader);

/* Loads everything and lets it go again, without a pin: would loader_open succeed? 0 or -errno. */
int loader_try(const struct loader_options *options);

/* Loads the programs anew with CONFIG, over the same maps, and swaps them in, atomically for each packet. 0 or -errno. */
int loader_reconfigure(struct loader *loader, const struct loader_options *options);

/* Frees the descriptors. Pins, links and what is attached stay. */
void loader_free(struct loader *loader);
DEFINE_CLEANUP(struct loader *, loader_free)

/* Opens another layout's pinned maps, to drain it. -ENOENT or -EINVAL where they are not ours to read. Close with maps_close. */
int maps_open(const char *bpffs, const char *layout, struct sensor_maps *ret_maps);
void maps_close(struct sensor_maps *maps);

/* What libbpf printed since the last call of a loader function, the end of it; "" if nothing. */
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
