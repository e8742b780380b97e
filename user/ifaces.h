/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces that are attached, their numbers (iface_id), their accounts, and the names of those that are gone. */
#pragma once

#include <stdbool.h>
#include "bpf/iface.h"
#include "user/books.h"
#include "user/config.h"
#include "user/ifwatch.h"
#include "user/loader.h"
#include "user/netns.h"

struct ifaces;

struct ifaces_options {
	const struct loader *loader; /* outlives it */
	struct books *books;
	const struct config_list *include, *exclude; /* compiled when given */
	const char *proc_root;                       /* outlives it; where other network namespaces are to be found */
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

/* An interface of the sensor's own network namespace is gone: its account goes to the departed. True: it was one of ours. */
bool ifaces_gone(struct ifaces *ifaces, uint32_t ifindex);

/* Before a dump of that namespace, and after it: lets those go that were not told of in between. */
void ifaces_begin(struct ifaces *ifaces);
void ifaces_sweep(struct ifaces *ifaces);

/*
 * ifaces_domains.c: network namespaces other than the sensor's own. What is attached in one is its loopback device, and what
 * is up there without another end in any other namespace: the rest is seen there. interfaces.include is for the sensor's own
 * namespace only.
 */
struct domain_visit {
	uint16_t domain;         /* its number; 0: it could not even be entered */
	unsigned attached, gone; /* interfaces, now */
	int error; /* the first of an interface that could not be attached, -ENOSPC: all slots are taken */
};

/*
 * Process PID is in the namespace INODE: enters it, and attaches (MAY_ATTACH false: keeps) what is to be attached there. 0, or
 * -errno as netns_visit.
 */
int ifaces_visit(struct ifaces *ifaces, uint32_t inode, pid_t pid, bool may_attach, struct domain_visit *ret_visit);

/* No process is known to be in the namespace INODE any more: nothing can be changed there. */
void ifaces_leave(struct ifaces *ifaces, uint32_t inode);

/*
 * Lets the interfaces go of namespaces that no process is in: tcx links at once, clsact filters, which cannot be reached, when
 * they have gone with their namespace. How many namespaces have gone.
 */
unsigned ifaces_settle(struct ifaces *ifaces);

/* Detaches from all namespaces but the sensor's own. The first error, after all was tried. */
int ifaces_withdraw(struct ifaces *ifaces);

/* Namespaces with interfaces of ours in them. */
size_t ifaces_domains(const struct ifaces *ifaces);

/* Why one was left alone. */
enum domain_refusal { REFUSAL_PERMISSION, REFUSAL_FULL, REFUSAL_ERROR, REFUSAL_MAX };
#define REFUSAL_NAMES                         \
	{                                     \
		"permission", "full", "error" \
	}
/* Counts one, for status and metrics. */
void ifaces_refuse(struct ifaces *ifaces, enum domain_refusal refusal);
uint64_t ifaces_refused(const struct ifaces *ifaces, enum domain_refusal refusal);

/* Detaches everything, accounts included. The first error, after all was tried. */
int ifaces_detach(struct ifaces *ifaces);

size_t ifaces_attached(const struct ifaces *ifaces);

/* The name for an iface_id, also of one that left not too long ago; "" where it is not known. */
const char *ifaces_name(const struct ifaces *ifaces, uint32_t iface_id);

/* The ifindex that an interface of the sensor's own network namespace has, or had not too long ago; 0: not known, or another's. */
uint32_t ifaces_ifindex(const struct ifaces *ifaces, uint32_t iface_id);

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
