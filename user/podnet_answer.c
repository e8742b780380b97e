// SPDX-License-Identifier: Apache-2.0
/* Who had an address, or was behind a veth: what is remembered of it, weighed. */
#include "user/clock.h"
#include "user/podnet_internal.h"

/* A namespace's addresses are read when they are asked for, but not more often. */
#define READ_ON_DEMAND_NS NS_PER_SEC

/*
 * So much later than what was told last, nothing can have changed unnoticed: no runtime takes an address from one pod and gives
 * it to the next one as fast.
 */
#define HANDOVER_NS (100 * NS_PER_MS)

/* Within this, a namespace has the addresses that it is made for. */
#define YOUNG_NS (2 * NS_PER_SEC)

/* All that come into question. */
struct verdict {
	struct pod *pod; /* not counted as a reference */
	bool several;    /* pods */
	bool host;
	bool stranger; /* a namespace that is no pod's, or of more than one */
	bool pending;  /* a namespace that may turn out to be a pod's, or a time of which not all is told yet */
};

static bool is_pending(const struct podnet *podnet, const struct netns *netns, uint64_t now)
{
	return netns_exists(netns) && !netns->host && !netns->pod && now - netns->seen_ns < NAMES_PATIENCE_NS &&
	       podnet_pods_expected(podnet, now);
}

static void weigh(const struct podnet *podnet, struct verdict *verdict, const struct netns *netns, uint64_t now)
{
	if (netns->host) {
		verdict->host = true;
	} else if (netns->pod && !netns->contested) {
		verdict->several |= verdict->pod && verdict->pod != netns->pod;
		verdict->pod = netns->pod;
	} else if (is_pending(podnet, netns, now)) {
		verdict->pending = true;
	} else {
		verdict->stranger = true;
	}
}

static enum podnet_answer answer(const struct verdict *verdict, uint64_t now, struct owner **ret_owner)
{
	const struct pod *pod = verdict->pod;

	if (verdict->several || (verdict->host && (pod || verdict->stranger)) || (pod && verdict->stranger))
		return PODNET_AMBIGUOUS;
	if (verdict->pending)
		return PODNET_PENDING;
	if (verdict->host)
		return PODNET_HOST;
	if (!pod || !pod->owner)
		return PODNET_NONE;
	if (!pod->named && now - pod->seen_ns < NAMES_PATIENCE_NS)
		return PODNET_PENDING;
	*ret_owner = owner_ref(pod->owner);
	return PODNET_POD;
}

/* Is there a namespace that may have got an address that was not read yet? */
static bool is_awaited(const struct podnet *podnet, uint64_t now)
{
	const struct netns *netns, *next;
	HASH_ITER (hh, podnet->netns, netns, next)
		if (!netns->read_ns || now - netns->seen_ns < YOUNG_NS || is_pending(podnet, netns, now))
			return true;
	return false;
}

/*
 * TENURE has something of the time to UNTIL_NS. Was it followed by another one before that, which is not known yet? It is
 * not, unless it has ended, or what happened then has not been told.
 */
static bool is_open(const struct podnet *podnet, const struct tenure *tenure, uint64_t until_ns, uint64_t now)
{
	if (until_ns > podnet->since_ns + HANDOVER_NS)
		return true;
	return tenure->until_ns != STILL && until_ns > tenure->sure_ns && is_awaited(podnet, now);
}

static bool overlaps(const struct tenure *tenure, uint64_t from_ns, uint64_t until_ns)
{
	return tenure->from_ns <= until_ns && from_ns < tenure->until_ns;
}

enum podnet_answer podnet_by_address(struct podnet *podnet, const uint8_t address[static 16], uint64_t from_ns,
                                     uint64_t until_ns, struct owner **ret_owner)
{
	const struct subject_key key = key_of_address(address);
	const struct subject *subject = subject_find(podnet, &key);
	const struct tenure *tenure;
	struct verdict verdict = { 0 };
	uint64_t now = clock_monotonic_ns();

	*ret_owner = NULL;
	if (!subject)
		return PODNET_NONE;
	bool had = false;
	DL_FOREACH (subject->tenures, tenure) {
		if (!overlaps(tenure, from_ns, until_ns))
			continue;
		had = true;
		weigh(podnet, &verdict, tenure->netns, now);
		verdict.pending |= is_open(podnet, tenure, until_ns, now);
	}
	/* It had one before, and may have the next one already. */
	verdict.pending |= !had && now - until_ns < NAMES_PATIENCE_NS && is_awaited(podnet, now);
	return answer(&verdict, now, ret_owner);
}

/* Whether NETNS had the address while it was at the other end of VETH. */
static bool had_address(const struct podnet *podnet, const struct tenure *veth, const struct subject_key *address)
{
	const struct subject *subject = subject_find(podnet, address);
	const struct tenure *tenure;

	if (!subject)
		return false;
	DL_FOREACH (subject->tenures, tenure)
		if (tenure->netns == veth->netns && overlaps(tenure, veth->from_ns, veth->until_ns))
			return true;
	return false;
}

/* The address may have been added since the namespace's were read; reading them may end or begin what is known of IFINDEX. */
static void read_on_demand(struct podnet *podnet, uint32_t ifindex, const struct subject_key *address)
{
	uint64_t now = clock_monotonic_ns();
	const struct tenure *veth = tenure_of_veth(podnet, ifindex);
	if (veth && now - veth->netns->asked_ns >= READ_ON_DEMAND_NS && !had_address(podnet, veth, address))
		podnet_read_addresses(podnet, veth->netns);
}

/* Never forwarded, and so of whoever is at the other end: link-local (RFC 4291, 2.5.6; RFC 3927). */
static bool is_local(const uint8_t address[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	const uint8_t *ipv4 = address + sizeof(mapped);
	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		return ipv4[0] == 169 && ipv4[1] == 254;
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

enum podnet_answer podnet_by_interface(struct podnet *podnet, uint32_t ifindex, const uint8_t address[static 16],
                                       struct owner **ret_owner)
{
	const struct subject_key veth_key = { .ifindex = ifindex }, key = key_of_address(address);
	const struct tenure *veth;
	struct verdict verdict = { 0 };

	*ret_owner = NULL;
	if (!ifindex)
		return PODNET_NONE;
	read_on_demand(podnet, ifindex, &key);
	uint64_t now = clock_monotonic_ns();
	const struct subject *subject = subject_find(podnet, &veth_key);
	if (!subject)
		return PODNET_NONE;
	bool had = false, young = false, foreign = false;
	DL_FOREACH (subject->tenures, veth) {
		if (is_local(address) || had_address(podnet, veth, &key)) {
			had = true;
			weigh(podnet, &verdict, veth->netns, now);
		} else if (veth->until_ns == STILL && now - veth->netns->seen_ns < NAMES_PATIENCE_NS &&
		           (veth->netns->pod || is_pending(podnet, veth->netns, now))) {
			young = true;
		} else {
			foreign |= veth->netns->pod != NULL;
		}
	}
	if (!had && young)
		return PODNET_PENDING; /* it may get the address in a moment */
	if (!had && foreign)
		return PODNET_FOREIGN;
	return answer(&verdict, now, ret_owner);
}

const char *podnet_pod_uid(const struct podnet *podnet, int32_t nsid)
{
	const struct netns *netns = netns_find(podnet, nsid);
	return netns && netns->pod && !netns->contested ? netns->pod->uid : "";
}
