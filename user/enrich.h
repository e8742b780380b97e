/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enrich: who is at one end of a flow. What the socket says comes first, then the cgroup that a hook saw, then the interface
 * and the address, at the time of the packets; where two of them contradict each other, nothing is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "bpf/flow.h"
#include "bpf/socket.h"
#include "user/identity.h"
#include "user/owner.h"
#include "user/pod_list.h"
#include "user/podnet.h"
#include "user/process.h"

struct enrich;

/* Each may be NULL (-1): then there is less to say. All outlive it. */
struct enrich_options {
	struct identity *identity;
	struct podnet *podnet;
	struct processes *processes;
	struct pod_list *pods; /* NULL unless one is configured */
	int sockets;           /* map `sockets` */
	int bound;             /* map `bound` */
	uint64_t netns_cookie; /* of this host's own network namespace; 0: not known */
};

int enrich_open(const struct enrich_options *options, struct enrich **ret_enrich);
void enrich_free(struct enrich *enrich);
DEFINE_CLEANUP(struct enrich *, enrich_free)

/* One end, as flow table and events have it. */
struct enrich_end {
	uint8_t address[16]; /* as in struct flow_key */
	uint16_t port;       /* host order */
	uint8_t protocol;
	uint16_t domain;
	bool apart;                 /* of a VLAN or a tunnel: its address is of another network, and tells nothing */
	uint64_t cgroup_id, cookie; /* 0: not known */
	uint32_t ifindex;           /* of this host, where the packets that it sent come in; 0: not known */
	uint64_t from_ns, until_ns; /* CLOCK_MONOTONIC: of the packets that the record tells of */
};

/* Why an end that is on this node was left without a name: sonde_enrich_misses_total{field}. */
enum enrich_miss {
	ENRICH_CGROUP,    /* its cgroup is not in the tree: it was gone before it was seen */
	ENRICH_POD,       /* the kubelet's directories do not (yet) name the pod */
	ENRICH_CONTAINER, /* the pod is known, the container is not */
	ENRICH_PROCESS,   /* the pod or host is known, the process is not */
	ENRICH_ADDRESS,   /* the address was several pods' in that time, or came in at another pod's interface */
	ENRICH_CONFLICT,  /* socket and address tell of different pods */
	ENRICH_MISS_MAX,
};
#define ENRICH_MISS_NAMES                                                      \
	{                                                                      \
		"cgroup", "pod", "container", "process", "address", "conflict" \
	}

/*
 * *ret_owner: a new reference, or NULL: nothing is known. True: more may be known in a moment (the record is worth waiting
 * for). FINAL: it is not waited for any longer: what is missing is counted.
 */
bool enrich_end(struct enrich *enrich, const struct enrich_end *end, bool final, struct owner **ret_owner);

/* What the pod list says of OWNER's pod, a new reference; NULL: nothing, or there is no such list. */
struct pod_facts *enrich_facts(const struct enrich *enrich, const struct owner *owner);

/* What is known of the socket with this cookie. 0; -ENOENT. */
int enrich_socket(struct enrich *enrich, uint64_t cookie, struct socket_info *ret_socket);

/* Cumulative. From any thread. */
void enrich_misses(const struct enrich *enrich, uint64_t ret_misses[static ENRICH_MISS_MAX]);
