// SPDX-License-Identifier: Apache-2.0
/*
 * An end is looked at from three sides: its socket, its cgroup, its address. Then what they say is put together, and what
 * is missing is put down to one reason, the deepest one: without the cgroup, nobody can know the container.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/clock.h"
#include "user/enrich.h"
#include "user/pod_netns.h"

#define OWNERS_MAX 16384
#define PODS_MAX   1024 /* whose network namespaces are remembered */

/* By how much a time that the programs took may be behind: they may use a clock that moves with the tick. */
#define CLOCK_SLACK_NS (20 * NS_PER_MS)
/* How long a TCP connection that was closed keeps its tuple, at one end or at the other: TIME_WAIT. */
#define TIME_WAIT_NS (60 * NS_PER_SEC)

struct enrich {
	struct enrich_options options;
	struct owners *owners;
	struct pod_netns *pods;
	_Atomic uint64_t misses[ENRICH_MISS_MAX];
};

/* What is known of an end. */
struct view {
	bool has_socket;    /* socket is this end's, at that time */
	bool awaits_socket; /* it has one that is not known yet */
	bool is_here;       /* it is on this node */
	uint64_t cgroup_id; /* 0: not known */
	enum identity_state cgroup;
	enum podnet_answer address;
	struct owner *by_cgroup, *by_address;
	struct socket_info socket;
};

static void view_clear(struct view *view)
{
	owner_unref(view->by_cgroup);
	owner_unref(view->by_address);
}

int enrich_open(const struct enrich_options *options, struct enrich **ret_enrich)
{
	_cleanup_(enrich_freep) struct enrich *enrich = calloc(1, sizeof(*enrich));
	if (!enrich)
		return -ENOMEM;
	enrich->options = *options;
	enrich->owners = owners_new(OWNERS_MAX);
	enrich->pods = pod_netns_new(PODS_MAX);
	if (!enrich->owners || !enrich->pods)
		return -ENOMEM;
	*ret_enrich = TAKE_PTR(enrich);
	return 0;
}

void enrich_free(struct enrich *enrich)
{
	if (!enrich)
		return;
	owners_free(enrich->owners);
	pod_netns_free(enrich->pods);
	free(enrich);
}

int enrich_socket(struct enrich *enrich, uint64_t cookie, struct socket_info *ret_socket)
{
	if (enrich->options.sockets < 0 || bpf_map_lookup_elem(enrich->options.sockets, &cookie, ret_socket) < 0)
		return -ENOENT;
	return 0;
}

struct pod_facts *enrich_facts(const struct enrich *enrich, const struct owner *owner)
{
	return pod_list_find(enrich->options.pods, owner_names(owner)->pod_uid);
}

void enrich_misses(const struct enrich *enrich, uint64_t ret_misses[static ENRICH_MISS_MAX])
{
	for (int miss = 0; miss < ENRICH_MISS_MAX; miss++)
		ret_misses[miss] = atomic_load_explicit(&enrich->misses[miss], memory_order_relaxed);
}

/* Of protocols whose packets are sent and received by processes; others' may be the kernel's own. */
static bool has_processes(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static bool is_loopback(const uint8_t address[static 16])
{
	static const uint8_t one[16] = { [15] = 1 }, mapped[13] = { [10] = 0xff, 0xff, 127 };
	return memcmp(address, one, sizeof(one)) == 0 || memcmp(address, mapped, sizeof(mapped)) == 0;
}

/*
 * Was SOCKET at END then? Its establishment does not tell: packets come before it. A closed UDP socket's port may be
 * another one's at once; a closed TCP connection's tuple still has its last packets, and a new one begins a flow of its own.
 */
static bool was_there(const struct socket_info *socket, const struct enrich_end *end)
{
	uint64_t after_ns = end->protocol == IPPROTO_TCP ? TIME_WAIT_NS : 0;
	if (socket->closed_ns && socket->closed_ns + after_ns + CLOCK_SLACK_NS < end->from_ns)
		return false;
	return socket->owner.since_ns <= end->until_ns + CLOCK_SLACK_NS;
}

static void look_at_socket(struct enrich *enrich, const struct enrich_end *end, struct view *view)
{
	if (!end->cookie || enrich->options.sockets < 0)
		return;
	view->is_here = true;
	int r = enrich_socket(enrich, end->cookie, &view->socket);
	view->has_socket = r == 0 && was_there(&view->socket, end);
	/* A connection that is being accepted has its cookie already, and is known when it is established. */
	view->awaits_socket = r < 0 && end->protocol == IPPROTO_TCP;
}

static void look_at_address(struct enrich *enrich, const struct enrich_end *end, struct view *view)
{
	struct podnet *podnet = enrich->options.podnet;
	if (end->apart)
		return;
	if (is_loopback(end->address)) {
		view->is_here = true;
		view->address = end->domain ? PODNET_NONE : PODNET_HOST;
		return;
	}
	if (podnet && end->ifindex)
		view->address = podnet_by_interface(podnet, end->ifindex, end->address, &view->by_address);
	bool foreign = view->address == PODNET_FOREIGN;
	if (podnet && (foreign || view->address == PODNET_NONE))
		view->address = podnet_by_address(podnet, end->address, end->from_ns, end->until_ns, &view->by_address);
	/* An address is only a claim: one pod's, in at another one's veth, is nobody's. */
	if (foreign && (view->address == PODNET_POD || view->address == PODNET_PENDING)) {
		owner_unref(TAKE_PTR(view->by_address));
		view->address = PODNET_AMBIGUOUS;
	}
	if (view->address != PODNET_NONE)
		view->is_here = true;
}

/* A socket that receives and never sent: nothing but its port leads to it. */
static void look_at_port(struct enrich *enrich, const struct enrich_end *end, struct view *view)
{
	struct bound_key key = { .port = htons(end->port), .protocol = end->protocol };
	uint64_t cookie;

	if (view->has_socket || enrich->options.bound < 0 || end->protocol != IPPROTO_UDP || !end->port)
		return;
	if (view->address == PODNET_HOST)
		key.netns_cookie = enrich->options.netns_cookie;
	else if (view->address == PODNET_POD)
		key.netns_cookie = pod_netns_find(enrich->pods, owner_names(view->by_address)->pod_uid);
	if (!key.netns_cookie || bpf_map_lookup_elem(enrich->options.bound, &key, &cookie) < 0)
		return;
	view->has_socket = enrich_socket(enrich, cookie, &view->socket) == 0 && was_there(&view->socket, end);
}

/* The process's cgroup, or where that tells nothing, the one that a hook saw. */
static void look_at_cgroup(struct enrich *enrich, const struct enrich_end *end, struct view *view)
{
	const uint64_t ids[2] = { view->has_socket ? view->socket.owner.cgroup_id : 0, end->cgroup_id };

	view->cgroup = IDENTITY_ROOT;
	for (size_t i = 0; enrich->options.identity && i < ARRAY_SIZE(ids); i++) {
		if (!ids[i] || (view->cgroup != IDENTITY_ROOT && view->cgroup != IDENTITY_UNKNOWN))
			continue;
		view->is_here = true;
		view->cgroup_id = ids[i];
		view->cgroup = identity_lookup(enrich->options.identity, ids[i], &view->by_cgroup);
	}
}

static bool names_pod(const struct view *view)
{
	return view->cgroup == IDENTITY_POD || view->cgroup == IDENTITY_PENDING;
}

static const char *either(const char *name, const char *other)
{
	return name ? name : other;
}

/* What cgroup and address say together. False: of two different pods. */
static bool combine(const struct view *view, struct owner_names *ret_names)
{
	struct owner_names names = *owner_names(view->by_cgroup);
	const struct owner_names *by_address = owner_names(view->by_address);

	if (names.pod_uid && by_address->pod_uid && strcmp(names.pod_uid, by_address->pod_uid) != 0)
		return false;
	names.namespace_name = either(names.namespace_name, by_address->namespace_name);
	names.pod_name = either(names.pod_name, by_address->pod_name);
	names.pod_uid = either(names.pod_uid, by_address->pod_uid);
	*ret_names = names;
	return true;
}

static void add_process(struct enrich *enrich, const struct view *view, struct owner_names *names)
{
	const struct socket_owner *owner = &view->socket.owner;
	if (!view->has_socket || !owner->tgid)
		return;
	names->pid = owner->tgid;
	names->uid = owner->uid;
	if (enrich->options.processes)
		names->executable_name = process_name(enrich->options.processes, owner);
}

/* Sockets of a pod teach where its ports are looked for; one with the host's network is in the host's. */
static void learn(struct enrich *enrich, const struct view *view)
{
	const char *uid = owner_names(view->by_address)->pod_uid;
	if (view->has_socket && uid && names_pod(view) && view->socket.owner.netns_cookie)
		pod_netns_learn(enrich->pods, uid, view->socket.owner.netns_cookie);
}

/* May a name that is missing come yet? */
static bool may_come(const struct view *view, const struct owner_names *names)
{
	if (view->awaits_socket)
		return true;
	if (view->cgroup == IDENTITY_PENDING)
		return !names->pod_name || !names->container_name;
	if (view->cgroup == IDENTITY_UNKNOWN)
		return true;
	return view->address == PODNET_PENDING && !names_pod(view);
}

/* Why a name is missing; ENRICH_MISS_MAX: none is, or there is none. */
static enum enrich_miss missing(const struct enrich *enrich, const struct enrich_end *end, const struct view *view,
                                const struct owner_names *names)
{
	bool by_process = has_processes(end->protocol);
	if (!view->is_here)
		return ENRICH_MISS_MAX;
	if (view->cgroup == IDENTITY_UNKNOWN)
		return ENRICH_CGROUP;
	if (!names_pod(view) && view->address == PODNET_AMBIGUOUS)
		return ENRICH_ADDRESS;
	if (!names_pod(view) && view->address == PODNET_PENDING)
		return ENRICH_POD;
	if (names->pod_uid && !names->pod_name)
		return ENRICH_POD;
	if (names->pod_name && !names->container_name && view->cgroup != IDENTITY_HOST && by_process)
		return ENRICH_CONTAINER;
	return enrich->options.sockets >= 0 && by_process && !names->pid ? ENRICH_PROCESS : ENRICH_MISS_MAX;
}

static void count(struct enrich *enrich, enum enrich_miss miss)
{
	if (miss != ENRICH_MISS_MAX)
		atomic_fetch_add_explicit(&enrich->misses[miss], 1, memory_order_relaxed);
}

bool enrich_end(struct enrich *enrich, const struct enrich_end *end, bool final, struct owner **ret_owner)
{
	_cleanup_(view_clear) struct view view = { .address = PODNET_NONE };
	struct owner_names names = { 0 };

	*ret_owner = NULL;
	look_at_socket(enrich, end, &view);
	look_at_address(enrich, end, &view);
	look_at_port(enrich, end, &view);
	look_at_cgroup(enrich, end, &view);
	if (!combine(&view, &names)) {
		count(enrich, ENRICH_CONFLICT);
		return false;
	}
	learn(enrich, &view);
	/* At once, also where the pod is waited for: the process may be gone by then. */
	add_process(enrich, &view, &names);
	if (names.pod_uid || names.container_id || names.pid)
		*ret_owner = owners_get(enrich->owners, &names);
	if (!final && may_come(&view, &names))
		return true;
	count(enrich, missing(enrich, end, &view, &names));
	return false;
}
