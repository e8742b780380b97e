// SPDX-License-Identifier: Apache-2.0
/*
 * The addresses in the namespaces of others. Nothing tells of their changes, so they are read: soon after a veth of theirs
 * changed, and then ever more seldom.
 */
#include "user/clock.h"
#include "user/podnet_internal.h"

/* An address on DEVICE that was not there before: since when, at the earliest. */
static uint64_t address_from(const struct netns *netns, uint32_t device)
{
	uint64_t from_ns = netns->read_ns ? netns->read_ns : netns->from_ns;
	const struct tenure *tenure;

	DL_FOREACH2 (netns->tenures, tenure, netns_next)
		if (tenure->subject->key.ifindex && tenure->device == device && tenure->from_ns > from_ns)
			from_ns = tenure->from_ns;
	return from_ns;
}

/* What was just read into podnet->told is what NETNS has. */
static void take_addresses(struct podnet *podnet, struct netns *netns, unsigned n)
{
	uint64_t now = clock_monotonic_ns();
	struct tenure *tenure, *next;

	podnet->round++;
	for (unsigned i = 0; i < n; i++) {
		const struct told_address *told = &podnet->told[i];
		const struct subject_key key = key_of_address(told->address);
		tenure = tenure_begin(podnet, &key, netns, told->device, address_from(netns, told->device));
		if (tenure)
			tenure->round = podnet->round;
	}
	for (tenure = netns->tenures; tenure; tenure = next) {
		next = tenure->netns_next;
		if (!tenure->subject->key.ifindex && tenure->round != podnet->round)
			tenure_end(podnet, tenure, netns->read_ns, now);
	}
}

void podnet_read_addresses(struct podnet *podnet, struct netns *netns)
{
	uint64_t now = clock_monotonic_ns(), changes = podnet->changes;
	unsigned n = 0;

	netns->asked_ns = now;
	int r = netlink_addresses(podnet, netns->nsid, &n);
	netns_ref(netns); /* notifications may end it */
	if (netlink_drain(podnet) == 0 && r == 0 && podnet->changes == changes) {
		take_addresses(podnet, netns, n);
		netns->read_ns = now;
		netns->due_ns = now + netns->wait_ns;
		netns->wait_ns = netns->wait_ns * 2 < REREAD_MAX_NS ? netns->wait_ns * 2 : REREAD_MAX_NS;
	} else {
		netns->due_ns = now + RETRY_NS;
	}
	netns_unref(podnet, netns);
}

void podnet_read_due(struct podnet *podnet)
{
	struct netns *due[READS_A_TICK], *netns, *next;
	unsigned n = 0;
	uint64_t now = clock_monotonic_ns();

	HASH_ITER (hh, podnet->netns, netns, next)
		if (netns->due_ns <= now && n < ARRAY_SIZE(due))
			due[n++] = netns_ref(netns);
	/* Each reading takes in notifications, which may end any of them. */
	for (unsigned i = 0; i < n; i++) {
		if (netns_exists(due[i]))
			podnet_read_addresses(podnet, due[i]);
		netns_unref(podnet, due[i]);
	}
}
