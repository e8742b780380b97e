/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pod list says of one pod: who controls it, and its labels, as attributes. Immutable once made, shared by reference
 * count across threads.
 */
#pragma once

#include <stddef.h>
#include "user/cleanup.h"

/* Of a pod; those of longer or more labels are left out. The limits are the Kubernetes API's, except for how many. */
#define POD_LABELS_MAX      32
#define POD_LABEL_KEY_MAX   317 /* a DNS subdomain, '/', a name */
#define POD_LABEL_VALUE_MAX 63
#define POD_NAME_MAX        253                  /* of a controller */
#define POD_FACTS_MAX       (2 + POD_LABELS_MAX) /* a controller, and the controller's own */

/*
 * An attribute of OpenTelemetry without the "source." or "destination." in front: "k8s.deployment.name",
 * "k8s.replicaset.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.cronjob.name",
 * "k8s.replicationcontroller.name", or "k8s.pod.label.<key>". All is ASCII. No key is there twice.
 */
struct pod_fact {
	const char *key, *value; /* the value of a label may be "" */
	const char *end_key[2];  /* the key with "source.", with "destination." in front; pod_facts_new makes them */
};

struct pod_facts;

/* A copy of the N FACTS with one reference, or NULL: out of memory. */
struct pod_facts *pod_facts_new(const struct pod_fact *facts, size_t n);
/* NULL passes through both. */
struct pod_facts *pod_facts_ref(struct pod_facts *facts);
void pod_facts_unref(struct pod_facts *facts);
DEFINE_CLEANUP(struct pod_facts *, pod_facts_unref)

/*
 * The facts, *ret_n of them (POD_FACTS_MAX at most), valid while a reference is held; none for NULL. Controllers come first,
 * then the labels in the order of the list.
 */
const struct pod_fact *pod_facts_all(const struct pod_facts *facts, size_t *ret_n);
