/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of podnet share. Namespaces hold veths and addresses for a time (podnet_history.c), processes say whose
 * namespace it is (podnet_pods.c), the kernel tells of all of it (podnet_netlink.c), podnet.c acts on what it tells.
 *
 * Two rules keep numbers of namespaces, which the kernel gives anew, apart from each other:
 * - what was asked counts only if no notification that came until the answer was there changed anything (podnet->changes);
 * - what is told now began, or ended, after since_ns, when nothing was waiting to be told, and before now. Where that leaves
 *   open who had an address, it is ambiguous, never another pod's; and of the time since then nobody knows yet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include "user/podnet.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>
#include <utlist.h>

#define STILL UINT64_MAX /* until_ns of what has not ended */

#define MAX_TENURES   16384
#define MAX_NETNS     4096 /* that exist at a time */
#define MAX_CGROUPS   16384
#define MAX_ADDRESSES 512 /* of a namespace; further ones are left out */
#define MAX_RECHECK   256
#define READS_A_TICK  64 /* namespaces; the rest waits for the next tick */

#define REMEMBER_NS   (600ULL * 1000000000) /* what has ended */
#define RETRY_NS      (250ULL * 1000000)    /* first wait for what is missing; doubles */
#define ASK_YOUNG_NS  (1ULL * 1000000000)   /* longest wait between two looks for a process of a new cgroup */
#define ASK_MAX_NS    (32ULL * 1000000000)  /* ... of an old one */
#define REREAD_MAX_NS (30ULL * 1000000000)  /* ... between two looks at a namespace's addresses */

struct mnl_socket;
struct nlmsghdr;

/* A pod, while it has cgroups or had a namespace that is remembered. */
struct pod {
	unsigned references;
	char uid[37];
	struct owner *owner; /* namespace and pod name, as soon as they are known, and uid */
	bool named;
	bool placed;      /* a namespace of it was found */
	uint64_t seen_ns; /* when its latest cgroup was */
	UT_hash_handle hh;
};

/* A pod's cgroup: its processes say which namespace is the pod's. */
struct pod_cgroup {
	uint64_t id;
	struct pod *pod;
	struct netns *netns; /* that a process of it was in; NULL: none was found yet */
	uint64_t seen_ns, due_ns, wait_ns;
	UT_hash_handle hh;
	char path[]; /* from the tree's root on, without the leading slash */
};

/* A network namespace that is known here by number, or this host's own. */
struct netns {
	unsigned references;
	int32_t nsid;
	bool host;
	bool contested;    /* processes of several pods were in it */
	struct pod *pod;   /* NULL: not known */
	uint64_t seen_ns;  /* when it was noticed */
	uint64_t from_ns;  /* 0: was there before us */
	uint64_t until_ns; /* STILL: exists */
	uint64_t asked_ns; /* for its addresses, last; 0: never */
	uint64_t read_ns;  /* ... with an answer */
	uint64_t due_ns, wait_ns;
	struct tenure *tenures; /* that have not ended */
	UT_hash_handle hh;
};

/* What namespaces hold: an address, or a veth of this host (then the address is zero). */
struct subject_key {
	uint8_t address[16];
	uint32_t ifindex;
};
_Static_assert(sizeof(struct subject_key) == 20, "hashed as bytes");

static inline struct subject_key key_of_address(const uint8_t address[static 16])
{
	struct subject_key key = { 0 };
	memcpy(key.address, address, sizeof(key.address));
	return key;
}

struct subject {
	struct subject_key key;
	struct tenure *tenures; /* in no order */
	UT_hash_handle hh;
};

/* That a subject was in a namespace's hands from .. until. */
struct tenure {
	struct subject *subject;
	struct netns *netns;
	uint64_t from_ns, until_ns;
	uint64_t sure_ns; /* ended: it was so until then at least; between this and until_ns it came to its end */
	uint32_t device;  /* ifindex there: the one that has the address; a veth's other end */
	uint32_t round;   /* the last reading of addresses that told of it */
	struct tenure *prev, *next;
	struct tenure *netns_prev, *netns_next;
	struct tenure *ended_prev, *ended_next;
};

struct told_address {
	uint8_t address[16];
	uint32_t device;
};

struct podnet {
	struct identity *identity;
	int tree_fd; /* the root of its cgroups */
	struct mnl_socket *events, *queries;
	unsigned sequence;   /* of the last query */
	int32_t own_nsid;    /* that this host's own namespace has for itself; -1: none (yet) */
	uint64_t since_ns;   /* CLOCK_MONOTONIC; what is told now has happened later */
	uint64_t changes;    /* counts what changes the meaning of a nsid, or where a veth leads */
	bool lost;           /* notifications were: everything is to be asked anew */
	bool reading_all;    /* since_ns stays until all is known */
	uint32_t round;      /* of reading addresses */
	struct netns *host;  /* its addresses are this host's own */
	struct netns *netns; /* those that exist, by nsid */
	unsigned n_netns;
	struct subject *subjects;
	struct tenure *ended; /* the longest ended first */
	unsigned n_tenures;
	struct pod *pods;
	struct pod_cgroup *cgroups;
	/* Veths that lost their namespace and were not told to be gone. */
	uint32_t recheck[MAX_RECHECK];
	unsigned n_recheck;
	struct told_address told[MAX_ADDRESSES];
};

/* podnet_history.c */

struct netns *netns_new(int32_t nsid, uint64_t seen_ns, uint64_t from_ns);
struct netns *netns_ref(struct netns *netns);
void netns_unref(struct podnet *podnet, struct netns *netns);
/* NULL: there is none of that number. */
struct netns *netns_find(const struct podnet *podnet, int32_t nsid);
static inline bool netns_exists(const struct netns *netns)
{
	return netns->until_ns == STILL;
}

/* An address or a veth, whoever had it; NULL: nobody. */
struct subject *subject_find(const struct podnet *podnet, const struct subject_key *key);
/* NETNS has KEY on DEVICE since FROM_NS, unless that is known already. NULL: no memory, or no room. */
struct tenure *tenure_begin(struct podnet *podnet, const struct subject_key *key, struct netns *netns, uint32_t device,
                            uint64_t from_ns);
/* Those that have not ended: of a veth; of an address in NETNS on DEVICE. NULL: none. */
struct tenure *tenure_of_veth(const struct podnet *podnet, uint32_t ifindex);
struct tenure *tenure_of_address(const struct podnet *podnet, const uint8_t address[static 16],
                                 const struct netns *netns, uint32_t device);
/* It has ended between SURE_NS and UNTIL_NS. */
void tenure_end(struct podnet *podnet, struct tenure *tenure, uint64_t sure_ns, uint64_t until_ns);
/* Removes what had ended before BEFORE_NS. */
void history_forget(struct podnet *podnet, uint64_t before_ns);

/* podnet_answer.c: podnet_by_address, podnet_by_interface, podnet_pod_uid */

/* podnet_pods.c */

void pod_unref(struct podnet *podnet, struct pod *pod);
/* For identity_subscribe. */
void podnet_pods_changed(const struct identity_cgroup *told, void *data);
/* Is there a pod that may turn out to be any new namespace's? Its cgroup is there before the namespace. */
bool podnet_pods_expected(const struct podnet *podnet, uint64_t now);
/* Looks for the processes of the cgroups whose namespace is not known and that are due, at most of MAX of them. */
void podnet_pods_ask(struct podnet *podnet, unsigned max);
void podnet_pods_free(struct podnet *podnet);

/* podnet.c: what the kernel told */

struct told_link {
	uint32_t ifindex;
	uint32_t peer; /* ifindex of a veth's other end, in its namespace */
	int32_t nsid;  /* where that is; -1: here, or nowhere */
	bool pair;     /* veth, or what is built like one */
};

void podnet_on_link(struct podnet *podnet, const struct told_link *link);
void podnet_on_link_gone(struct podnet *podnet, uint32_t ifindex);
void podnet_on_nsid(struct podnet *podnet, int32_t nsid);
void podnet_on_nsid_gone(struct podnet *podnet, int32_t nsid);
void podnet_on_own_address(struct podnet *podnet, const struct told_address *told, bool gone);

/*
 * This host's own namespace never leads to a pod, but may get a number at any time, and then keeps it: asks for it as long as it
 * has none. Not while another question is being answered.
 */
void podnet_ask_own(struct podnet *podnet);
/* The namespace of this number, noticed now if it was not before; NULL: this host's own, or no memory or room. */
struct netns *podnet_netns(struct podnet *podnet, int32_t nsid);

/* podnet_addresses.c */

/* Reads the addresses in NETNS. */
void podnet_read_addresses(struct podnet *podnet, struct netns *netns);
/* Reads those in the namespaces that are due, in READS_A_TICK of them at most. */
void podnet_read_due(struct podnet *podnet);

/* podnet_message.c */

/* False: not about a link itself. */
bool message_link(const struct nlmsghdr *message, struct told_link *ret_link);
int32_t message_nsid(const struct nlmsghdr *message);
/* False: it tells of no address that is one namespace's by what it is, or of one in another namespace than NSID. */
bool message_address(const struct nlmsghdr *message, int32_t nsid, struct told_address *ret_told);

/* podnet_netlink.c; all return 0 or -errno and wait for nothing */

int netlink_open(struct podnet *podnet);
void netlink_close(struct podnet *podnet);
/* Takes in all notifications there are. Those that were dropped leave podnet->lost. */
int netlink_drain(struct podnet *podnet);
/* The number of the namespace that process PID is in; -1: it has none here. -ESRCH: no such process. */
int netlink_nsid(struct podnet *podnet, pid_t pid, int32_t *ret_nsid);
/* All links, or the one with IFINDEX, are told to podnet_on_link. -ENODEV: no such link. */
int netlink_links(struct podnet *podnet, uint32_t ifindex);
/*
 * The addresses of namespace NSID (-1: this host's own) into podnet->told, loopback and link-local ones left out, which every
 * namespace has. -EINVAL: no such namespace.
 */
int netlink_addresses(struct podnet *podnet, int32_t nsid, unsigned *ret_n);
