/* SPDX-License-Identifier: Apache-2.0 */
/* From what a pod's metadata says of its controller to the names an operator knows it by: the Deployment, not the ReplicaSet. */
#pragma once

#include <stdint.h>
#include "user/pod_facts.h"

/* Of the ownerReference with "controller": true. None NULL: "" where the metadata does not say. */
struct pod_controller {
	const char *api_version, *kind, *name;
	const char *template_hash; /* the pod's label "pod-template-hash" */
	int64_t created;           /* the pod's creationTimestamp, Unix time; 0: not known */
};

/*
 * Writes up to two facts: the controller, if it is of one of the kinds that pod_fact names; in front of it the Deployment or
 * CronJob that made it, where that is certain:
 *
 *	ReplicaSet web-5d8f7c9b4d of a pod with the template hash 5d8f7c9b4d: Deployment web (a controller of somebody else's
 *	that makes ReplicaSets sets no such label);
 *	Job backup-28459200: CronJob backup, if those digits are a time, in minutes since 1970 (as since Kubernetes 1.21), at
 *	most a day before the pod was made. Older versions count in seconds, as scripts that make Jobs do: not certain.
 *
 * The facts point into CONTROLLER's strings and SPACE. Returns how many.
 */
size_t pod_controller_facts(const struct pod_controller *controller, char space[static POD_NAME_MAX + 1],
                            struct pod_fact ret_facts[static 2]);
