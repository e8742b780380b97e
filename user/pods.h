/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pod uid and container id to names, as the kubelet writes them down on the node: directories
 * /var/log/pods/<namespace>_<pod>_<uid>, made before the pod's first container, and links
 * /var/log/containers/<pod>_<namespace>_<container>-<container id>.log, made when a container has been started. The names of
 * both directories' entries are kept in an index, which inotify keeps current.
 */
#pragma once

#include <stdbool.h>
#include "user/cleanup.h"

struct pods;

/* What names are kept under: 32 digits of a pod's uid, or the first 12 of a container's id. */
#define PODS_KEY_SIZE 33
void pods_key_of_uid(const char *pod_uid, char ret_key[static PODS_KEY_SIZE]);
void pods_key_of_container(const char *container_id, char ret_key[static PODS_KEY_SIZE]);

/* There may be names for KEY that there were not before. */
typedef void (*pods_appeared)(const char *key, void *data);

/*
 * DIR: /var/log/pods; the links are in DIR/../containers. Either may be missing, or come later. APPEARED is first called after
 * the index is open. 0 or -errno. Free with pods_free.
 */
int pods_open(const char *dir, pods_appeared appeared, void *data, struct pods **ret_pods);
void pods_free(struct pods *pods);
DEFINE_CLEANUP(struct pods *, pods_free)

/* Readable when pods_read has something to do; -1: inotify is not to be had, pods_tick does it all. */
int pods_fd(const struct pods *pods);
/* 0 or -errno. */
int pods_read(struct pods *pods);
/* To be called every 250 ms: reads the directories again that are not watched, or of which events were lost. */
void pods_tick(struct pods *pods);

struct pod_names {
	char namespace_name[64], pod_name[254]; /* DNS label or subdomain lengths */
};

/*
 * The names of POD_UID (dashes or not). False: there is no such directory (yet), its name breaks the API's rules, or there were
 * two that claim one uid: then nobody can tell which is right.
 */
bool pods_find(const struct pods *pods, const char *pod_uid, struct pod_names *ret_names);

/*
 * The name of the container CONTAINER_ID of the pod NAMES. Only a link with that id tells: a sandbox ("pause") has a cgroup and
 * an id as other containers have, but no name, and so the only container that a pod has a directory for may be
 * another one. False: there is no link (yet), it tells of another pod, or two links contradict each other.
 */
bool pods_find_container(const struct pods *pods, const struct pod_names *names, const char *container_id,
                         char ret_name[static 64]);
