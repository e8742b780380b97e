/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces that are attached, their numbers (iface_id), their accounts, and the names of those that are gone. */
#pragma once

#include <stdbool.h>
#include "bpf/iface.h"
#include "user/books.h"
#include "user/config.h"
#include "user/ifwatch.h"
#include "user/loader.h"

struct ifaces;

struct ifaces_options {
	const struct loader *loader; /* outlives it */
	struct books *books;
	const struct config_list *include, *exclude; /* compiled when given */
};

/*
 * Takes over what the loader before left in map `ifaces`, as it is in the kernel; interfaces_there() and
 * interfaces_dumped() then sort out what still exists. 0 or -errno. Free with ifaces_free (detaches nothing).
 */
int ifaces_open(const struct ifaces_options *options, struct ifaces **ret_ifaces);
void ifaces_free(struct ifaces *ifaces);
DEFINE_CLEANUP(struct ifaces *, ifaces_free)

/* New patterns; applied to what is told from then on (dump again to apply them to all). 0, -EINVAL, -ENOMEM. */
int ifaces_select(struct ifaces *ifaces, const struct config_list *include, const struct config_list *exclude);

/* What happened to an interface, for the one line that is logged about it. */
enum iface_change { IFACE_UNCHANGED, IFACE_ATTACHED, IFACE_TAKEN_OVER, IFACE_RENAMED, IFACE_DETACHED };

/*
 * An interface exists: attaches it if it is selected and not attached (MAY_ATTACH false: only what is attached already is
 * kept), detaches it if it is not selected any more. 0 or -errno: -ENODEV it vanished meanwhile, -ENOSPC all slots are
 * taken, -EPROTONOSUPPORT frames that are neither Ethernet nor IP.
 */
int ifaces_there(struct ifaces *ifaces, const struct link_info *link, bool may_attach, enum iface_change *ret_change);

/*
 * Takes over an interface that another layout's loader attached: under a new number, with its link pins (LAYOUT's, for
 * ID) moved to ours. The hook runs its former program until ifaces_there() replaces it, atomically. 0 or -errno.
 */
int ifaces_adopt(struct ifaces *ifaces, const char *layout, uint32_t id, const struct iface_info *info);

/* An interface is gone: its account goes to the departed. True: it was one of ours. */
bool ifaces_gone(struct ifaces *ifaces, uint32_t ifindex);

/* Before a dump, and after it: lets those go that were not told of in between. */
void ifaces_begin(struct ifaces *ifaces);
void ifaces_sweep(struct ifaces *ifaces);

/* Detaches everything, accounts included. The first error, after all was tried. */
int ifaces_detach(struct ifaces *ifaces);

size_t ifaces_attached(const struct ifaces *ifaces);

/* The name for an iface_id, also of one that left not too long ago; "" where it is not known. */
const char *ifaces_name(const struct ifaces *ifaces, uint32_t iface_id);

/* One interface's accounts, summed over CPUs. */
struct iface_account {
	const struct iface_info *info;
	struct hook_stats stats[DIRECTION_MAX];
};
/* Calls VISIT for each attached interface. 0 or -errno. */
int ifaces_accounts(const struct ifaces *ifaces, void (*visit)(const struct iface_account *account, void *data),
                    void *data);

/*
 * The sum over the hooks in any layout's maps, without those that STATE took into its departed ones already. 0 or
 * -errno.
 */
int ifaces_sum(const struct sensor_maps *maps, const struct books_state *state,
               struct hook_stats ret_sum[static DIRECTION_MAX]);

/* The sum over all hooks, departed ones included. 0 or -errno. */
int ifaces_total(const struct ifaces *ifaces, struct hook_stats *ret_total);

/* Time spent in the programs on all hooks, ns; 0 while sysctl kernel.bpf_stats_enabled is 0. */
uint64_t ifaces_run_ns(const struct ifaces *ifaces);

void hook_stats_add(struct hook_stats *to, const struct hook_stats *from);
