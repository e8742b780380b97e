// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps namespaces, veths and addresses current. The kernel tells of veths, of namespaces' numbers and of this host's own
 * addresses as they change; addresses in other namespaces are read (podnet_addresses.c) when a veth of theirs has changed.
 */
#include <errno.h>
#include <limits.h>
#include <libmnl/libmnl.h>
#include "user/clock.h"
#include "user/podnet_internal.h"

/* Looks for processes in a tick: the rest waits for the next one. */
#define ASKS_A_TICK 512

/* Attempts at a dump that changes meanwhile: then at the next tick. */
#define DUMPS_MAX 5

/* Veths change several times while they are set up. */
#define REREAD_MIN_NS (20 * NS_PER_MS)

static void recheck_add(struct podnet *podnet, uint32_t ifindex)
{
	if (podnet->n_recheck == MAX_RECHECK)
		podnet->lost = true;
	else
		podnet->recheck[podnet->n_recheck++] = ifindex;
}

static void recheck_remove(struct podnet *podnet, uint32_t ifindex)
{
	for (unsigned i = 0; i < podnet->n_recheck; i++)
		if (podnet->recheck[i] == ifindex)
			podnet->recheck[i--] = podnet->recheck[--podnet->n_recheck];
}

void podnet_ask_own(struct podnet *podnet)
{
	if (podnet->own_nsid < 0)
		netlink_nsid(podnet, getpid(), &podnet->own_nsid);
}

struct netns *podnet_netns(struct podnet *podnet, int32_t nsid)
{
	struct netns *netns = netns_find(podnet, nsid);
	if (netns || podnet->n_netns >= MAX_NETNS || nsid == podnet->own_nsid)
		return netns;
	uint64_t now = clock_monotonic_ns();
	netns = netns_new(nsid, now, podnet->since_ns);
	if (!netns)
		return NULL;
	HASH_ADD(hh, podnet->netns, nsid, sizeof(netns->nsid), netns);
	if (!netns->hh.tbl) {
		netns_unref(podnet, netns);
		return NULL;
	}
	podnet->n_netns++;
	netns->due_ns = now;
	return netns;
}

static void netns_end(struct podnet *podnet, struct netns *netns, uint64_t now)
{
	struct tenure *tenure, *next;

	netns->until_ns = now;
	/* Links are told to be gone after their namespace, as a rule; where that has a new number, nothing is told. */
	for (tenure = netns->tenures; tenure; tenure = next) {
		next = tenure->netns_next;
		if (tenure->subject->key.ifindex)
			recheck_add(podnet, tenure->subject->key.ifindex);
		tenure_end(podnet, tenure, podnet->since_ns, now);
	}
	HASH_DEL(podnet->netns, netns);
	podnet->n_netns--;
	netns_unref(podnet, netns);
}

/* Its addresses are read soon, and then often for a while. */
static void netns_touch(struct netns *netns, uint64_t now)
{
	uint64_t earliest = netns->read_ns + REREAD_MIN_NS;
	netns->due_ns = earliest > now ? earliest : now;
	netns->wait_ns = RETRY_NS;
}

/* The addresses on the other end are gone with the veth, or with its move to another namespace. */
static void veth_end(struct podnet *podnet, struct tenure *veth, uint64_t now)
{
	struct netns *netns = veth->netns;
	struct tenure *tenure, *next;

	for (tenure = netns->tenures; tenure; tenure = next) {
		next = tenure->netns_next;
		if (!tenure->subject->key.ifindex && tenure->device == veth->device)
			tenure_end(podnet, tenure, podnet->since_ns, now);
	}
	tenure_end(podnet, veth, podnet->since_ns, now);
	/* Not at once: the link is told to be gone a little before its addresses are. */
	netns_touch(netns, now + REREAD_MIN_NS);
	podnet->changes++;
}

void podnet_on_link(struct podnet *podnet, const struct told_link *link)
{
	uint64_t now = clock_monotonic_ns();

	if (!link->pair)
		return;
	struct tenure *veth = tenure_of_veth(podnet, link->ifindex);
	struct netns *netns = link->nsid >= 0 ? podnet_netns(podnet, link->nsid) : NULL;
	if (veth && veth->netns == netns && veth->device == link->peer) {
		netns_touch(netns, now);
		return;
	}
	if (veth)
		veth_end(podnet, veth, now);
	recheck_remove(podnet, link->ifindex);
	if (!netns)
		return;
	const struct subject_key key = { .ifindex = link->ifindex };
	tenure_begin(podnet, &key, netns, link->peer, podnet->since_ns);
	netns_touch(netns, now);
	podnet->changes++;
}

void podnet_on_link_gone(struct podnet *podnet, uint32_t ifindex)
{
	struct tenure *veth = tenure_of_veth(podnet, ifindex);
	if (veth)
		veth_end(podnet, veth, clock_monotonic_ns());
	recheck_remove(podnet, ifindex);
}

void podnet_on_nsid(struct podnet *podnet, int32_t nsid)
{
	podnet_on_nsid_gone(podnet, nsid); /* the end of a former one may be told after this */
	podnet_ask_own(podnet);
	if (nsid >= 0)
		podnet_netns(podnet, nsid);
}

void podnet_on_nsid_gone(struct podnet *podnet, int32_t nsid)
{
	struct netns *netns = netns_find(podnet, nsid);
	podnet->changes++;
	if (netns)
		netns_end(podnet, netns, clock_monotonic_ns());
}

void podnet_on_own_address(struct podnet *podnet, const struct told_address *told, bool gone)
{
	const struct subject_key key = key_of_address(told->address);
	struct tenure *tenure = tenure_of_address(podnet, told->address, podnet->host, told->device);
	if (gone && tenure)
		tenure_end(podnet, tenure, podnet->since_ns, clock_monotonic_ns());
	else if (!gone)
		tenure_begin(podnet, &key, podnet->host, told->device, podnet->since_ns);
}

static void recheck_links(struct podnet *podnet)
{
	while (podnet->n_recheck > 0)
		netlink_links(podnet, podnet->recheck[--podnet->n_recheck]);
}

static void end_all(struct podnet *podnet)
{
	struct netns *netns, *next;
	uint64_t now = clock_monotonic_ns();

	HASH_ITER (hh, podnet->netns, netns, next)
		netns_end(podnet, netns, now);
	while (podnet->host->tenures)
		tenure_end(podnet, podnet->host->tenures, podnet->since_ns, now);
	podnet->n_recheck = 0;
}

static int read_own_addresses(struct podnet *podnet)
{
	unsigned n;
	int r = netlink_addresses(podnet, -1, &n);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		podnet_on_own_address(podnet, &podnet->told[i], false);
	return 0;
}

static int read_links(struct podnet *podnet)
{
	return netlink_links(podnet, 0);
}

/* A dump that was interrupted by a change may lack what did not change. */
static int dump_whole(struct podnet *podnet, int (*dump)(struct podnet *podnet))
{
	int r = -EINTR;
	for (int i = 0; r == -EINTR && i < DUMPS_MAX; i++)
		r = dump(podnet);
	return r;
}

/* At the start, and when notifications were lost: what is known by number of namespace may be another's by now. */
static int read_all(struct podnet *podnet)
{
	podnet->reading_all = true;
	end_all(podnet);
	podnet->lost = false;
	podnet_ask_own(podnet);
	int r = dump_whole(podnet, read_links);
	if (r == 0)
		r = dump_whole(podnet, read_own_addresses);
	podnet_pods_ask(podnet, UINT_MAX);
	for (unsigned left = podnet->n_netns; left > 0; left -= left < READS_A_TICK ? left : READS_A_TICK)
		podnet_read_due(podnet);
	podnet->reading_all = false;
	podnet->lost = podnet->lost || r < 0;
	return r < 0 ? r : netlink_drain(podnet);
}

int podnet_open(struct identity *identity, struct podnet **ret_podnet)
{
	_cleanup_(podnet_freep) struct podnet *podnet = calloc(1, sizeof(*podnet));
	if (!podnet)
		return -ENOMEM;
	podnet->tree_fd = identity_tree(identity);
	podnet->own_nsid = -1;
	podnet->host = netns_new(-1, clock_monotonic_ns(), 0);
	if (!podnet->host)
		return -ENOMEM;
	podnet->host->host = true;
	int r = netlink_open(podnet);
	if (r < 0)
		return r;
	podnet->reading_all = true; /* the pods are asked for all at once */
	r = identity_subscribe(identity, podnet_pods_changed, podnet);
	if (r < 0)
		return r;
	podnet->identity = identity;
	r = read_all(podnet);
	if (r < 0 && r != -EINTR)
		return r;
	*ret_podnet = TAKE_PTR(podnet);
	return 0;
}

void podnet_free(struct podnet *podnet)
{
	if (!podnet)
		return;
	if (podnet->identity)
		identity_unsubscribe(podnet->identity, podnet_pods_changed, podnet);
	if (podnet->host)
		end_all(podnet);
	history_forget(podnet, STILL);
	podnet_pods_free(podnet);
	netns_unref(podnet, podnet->host);
	netlink_close(podnet);
	free(podnet);
}

int podnet_fd(const struct podnet *podnet)
{
	return mnl_socket_get_fd(podnet->events);
}

int podnet_read(struct podnet *podnet)
{
	int r = netlink_drain(podnet);
	if (r == 0 && podnet->lost)
		r = read_all(podnet);
	podnet_read_due(podnet);
	return r;
}

void podnet_tick(struct podnet *podnet)
{
	if (podnet_read(podnet) < 0)
		podnet->lost = true;
	recheck_links(podnet);
	podnet_pods_ask(podnet, ASKS_A_TICK);
	podnet_read_due(podnet);
	uint64_t now = clock_monotonic_ns();
	history_forget(podnet, now > REMEMBER_NS ? now - REMEMBER_NS : 0);
}
