/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pod an address or an interface belongs to, and when: the network namespaces that pods' processes live in, the veths
 * of this host that lead there, and the addresses in them, all by rtnetlink (RTM_GETNSID by pid, IFLA_LINK_NETNSID,
 * RTM_GETADDR with IFA_TARGET_NETNSID: Linux 4.20, CAP_NET_ADMIN; no setns, no ptrace). What was true is remembered for a
 * while with the time it was true: an address may be another pod's a second later.
 */
#pragma once

#include <stdint.h>
#include "user/identity.h"
#include "user/owner.h"

struct podnet;

/*
 * IDENTITY tells which pods there are; it outlives this index. 0 or -errno: -EOPNOTSUPP where the kernel does not answer for
 * other namespaces (the caller goes on without). Free with podnet_free.
 */
int podnet_open(struct identity *identity, struct podnet **ret_podnet);
void podnet_free(struct podnet *podnet);
DEFINE_CLEANUP(struct podnet *, podnet_free)

/* Readable when podnet_read has something to do (interfaces and namespaces that come and go). */
int podnet_fd(const struct podnet *podnet);
int podnet_read(struct podnet *podnet);
/* To be called every 250 ms: looks again for what is missing, forgets what is long over. */
void podnet_tick(struct podnet *podnet);

enum podnet_answer {
	PODNET_NONE,      /* no pod's on this node, as far as is known */
	PODNET_HOST,      /* one of this host's own addresses: its processes' and those of pods with hostNetwork */
	PODNET_PENDING,   /* of a namespace whose pod is not known yet, but may be in a moment */
	PODNET_AMBIGUOUS, /* of several pods in that time */
	PODNET_FOREIGN,   /* podnet_by_interface alone: a pod is there that has no such address; forwarded, or forged */
	PODNET_POD,
};

/*
 * Whose ADDRESS (as in struct flow_key) was all through FROM_NS .. UNTIL_NS (CLOCK_MONOTONIC). PODNET_POD: *ret_owner is a new
 * reference to an owner with namespace, pod name and uid (no container), else NULL.
 */
enum podnet_answer podnet_by_address(struct podnet *podnet, const uint8_t address[static 16], uint64_t from_ns,
                                     uint64_t until_ns, struct owner **ret_owner);

/*
 * Who is behind this host's veth IFINDEX, also of one that is gone, provided that ADDRESS is (was) one of its namespace's: the
 * surer way for an end whose packets come in there.
 */
enum podnet_answer podnet_by_interface(struct podnet *podnet, uint32_t ifindex, const uint8_t address[static 16],
                                       struct owner **ret_owner);

/* The uid of the pod in the network namespace that the kernel numbers NSID as seen from here; "": none, or not known. */
const char *podnet_pod_uid(const struct podnet *podnet, int32_t nsid);
