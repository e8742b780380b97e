/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels and controllers of this node's pods, for those who want them: a thread asks the kubelet or the API server for a list
 * of pods, over HTTPS with a bearer token, again and again. All else that the sensor says does without.
 *
 *	struct pod_facts *facts = pod_list_find(list, names->pod_uid);   at a record's end, on the main thread
 *	pod_facts_all(facts, &n) ...                                     where it is encoded, on any thread
 *	pod_facts_unref(facts);                                          with the record
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "user/pod_facts.h"

#define POD_LIST_TIMEOUT_NS (10ULL * 1000000000)
#define POD_LIST_BYTES_MAX  (64 << 20)

struct pod_list_options {
	/*
	 * "https://<node>:10250/pods" or "https://<API server>/api/v1/pods?fieldSelector=spec.nodeName=<node>". No redirect is
	 * followed, and no proxy is used.
	 */
	const char *url;
	const char *ca;         /* PEM file; "": the system's CAs are trusted. Read again at each new connection */
	const char *token_file; /* read again at each request; "": no token is sent */
	const char *version;    /* of the sensor, for the request's User-Agent */
	uint64_t interval_ns;   /* between requests, give or take a tenth: not all nodes ask at once */
	uint64_t timeout_ns;    /* of one request, connecting included */
	size_t bytes_max;       /* of an answer; a longer one is refused */
	void (*on_socket)(int fd, bool open, void *data); /* as in struct ship_options, from the list's thread */
	void *on_socket_data;
};

struct pod_list_status {
	bool up;              /* the latest request gave a list */
	char last_error[256]; /* says what to do; "": none since the last success. The same text: the same trouble */
	uint64_t refreshes, failures; /* requests that gave a list, and that did not; cumulative */
	uint64_t listed_ns;           /* CLOCK_MONOTONIC of the latest list; 0: none yet */
	size_t pods;                  /* in the latest list */
	size_t labels_left_out;       /* of these: beyond POD_LABELS_MAX a pod, or against the API's rules */
};

struct pod_list;

/* Starts the thread, which asks at once. OPTIONS is copied. 0 or -errno; that nothing answers is no error here. */
int pod_list_start(const struct pod_list_options *options, struct pod_list **ret_list);

/* Breaks off a request under way, ends the thread and frees LIST (may be NULL). Facts that were found stay valid. */
void pod_list_stop(struct pod_list *list);

/*
 * A new reference to what the latest list says of the pod, or, for ten minutes, to what the last list with the pod in it said.
 * NULL: nothing is known of it; LIST or POD_UID is NULL. POD_UID with or without dashes. While requests fail, the old list
 * stays: a uid is one pod's for ever, so it may lack new pods and labels, but not be another pod's. From any thread.
 */
struct pod_facts *pod_list_find(struct pod_list *list, const char *pod_uid);

/* From any thread. Whoever logs compares last_error with the last one that he logged. */
void pod_list_status(struct pod_list *list, struct pod_list_status *ret_status);
