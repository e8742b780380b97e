// SPDX-License-Identifier: Apache-2.0
/* Which namespace had an address or a veth, from when until when: a bounded memory of it. */
#include "user/podnet_internal.h"

struct netns *netns_new(int32_t nsid, uint64_t seen_ns, uint64_t from_ns)
{
	struct netns *netns = calloc(1, sizeof(*netns));
	if (!netns)
		return NULL;
	netns->references = 1;
	netns->nsid = nsid;
	netns->seen_ns = seen_ns;
	netns->from_ns = from_ns;
	netns->until_ns = STILL;
	netns->wait_ns = RETRY_NS;
	return netns;
}

struct netns *netns_ref(struct netns *netns)
{
	netns->references++;
	return netns;
}

void netns_unref(struct podnet *podnet, struct netns *netns)
{
	if (!netns || --netns->references > 0)
		return;
	pod_unref(podnet, netns->pod);
	free(netns);
}

struct netns *netns_find(const struct podnet *podnet, int32_t nsid)
{
	struct netns *netns;
	HASH_FIND(hh, podnet->netns, &nsid, sizeof(nsid), netns);
	return netns;
}

struct subject *subject_find(const struct podnet *podnet, const struct subject_key *key)
{
	struct subject *subject;
	HASH_FIND(hh, podnet->subjects, key, sizeof(*key), subject);
	return subject;
}

static struct subject *subject_add(struct podnet *podnet, const struct subject_key *key)
{
	_cleanup_(freep) struct subject *subject = calloc(1, sizeof(*subject));
	if (!subject)
		return NULL;
	subject->key = *key;
	HASH_ADD(hh, podnet->subjects, key, sizeof(subject->key), subject);
	return subject->hh.tbl ? TAKE_PTR(subject) : NULL;
}

static void subject_remove_unused(struct podnet *podnet, struct subject *subject)
{
	if (subject->tenures)
		return;
	HASH_DEL(podnet->subjects, subject);
	free(subject);
}

static struct tenure *tenure_find(const struct subject *subject, const struct netns *netns, uint32_t device)
{
	struct tenure *tenure;
	DL_FOREACH (subject->tenures, tenure)
		if (tenure->until_ns == STILL && tenure->netns == netns && tenure->device == device)
			return tenure;
	return NULL;
}

struct tenure *tenure_of_veth(const struct podnet *podnet, uint32_t ifindex)
{
	const struct subject *subject = subject_find(podnet, &(struct subject_key) { .ifindex = ifindex });
	struct tenure *tenure = NULL;
	if (subject)
		DL_SEARCH_SCALAR(subject->tenures, tenure, until_ns, STILL);
	return tenure;
}

struct tenure *tenure_of_address(const struct podnet *podnet, const uint8_t address[static 16],
                                 const struct netns *netns, uint32_t device)
{
	const struct subject_key key = key_of_address(address);
	const struct subject *subject = subject_find(podnet, &key);
	return subject ? tenure_find(subject, netns, device) : NULL;
}

/* Only of those that have ended. */
static void tenure_forget(struct podnet *podnet, struct tenure *tenure)
{
	struct subject *subject = tenure->subject;
	DL_DELETE2(podnet->ended, tenure, ended_prev, ended_next);
	DL_DELETE(subject->tenures, tenure);
	subject_remove_unused(podnet, subject);
	netns_unref(podnet, tenure->netns);
	podnet->n_tenures--;
	free(tenure);
}

struct tenure *tenure_begin(struct podnet *podnet, const struct subject_key *key, struct netns *netns, uint32_t device,
                            uint64_t from_ns)
{
	struct subject *subject = subject_find(podnet, key);
	struct tenure *tenure = subject ? tenure_find(subject, netns, device) : NULL;
	if (tenure)
		return tenure;
	if (podnet->n_tenures >= MAX_TENURES && podnet->ended)
		tenure_forget(podnet, podnet->ended);
	if (podnet->n_tenures >= MAX_TENURES)
		return NULL;

	subject = subject_find(podnet, key); /* it may have gone with its last tenure */
	if (!subject)
		subject = subject_add(podnet, key);
	if (!subject)
		return NULL;
	tenure = calloc(1, sizeof(*tenure));
	if (!tenure) {
		subject_remove_unused(podnet, subject);
		return NULL;
	}
	tenure->subject = subject;
	tenure->netns = netns_ref(netns);
	tenure->device = device;
	tenure->from_ns = from_ns;
	tenure->until_ns = STILL;
	DL_APPEND(subject->tenures, tenure);
	DL_APPEND2(netns->tenures, tenure, netns_prev, netns_next);
	podnet->n_tenures++;
	return tenure;
}

void tenure_end(struct podnet *podnet, struct tenure *tenure, uint64_t sure_ns, uint64_t until_ns)
{
	tenure->sure_ns = sure_ns;
	tenure->until_ns = until_ns;
	DL_DELETE2(tenure->netns->tenures, tenure, netns_prev, netns_next);
	DL_APPEND2(podnet->ended, tenure, ended_prev, ended_next);
}

void history_forget(struct podnet *podnet, uint64_t before_ns)
{
	while (podnet->ended && podnet->ended->until_ns < before_ns)
		tenure_forget(podnet, podnet->ended);
}
