/* SPDX-License-Identifier: Apache-2.0 */
/* A server of pod lists, and one who asks it, for tests that watch what comes of it. */
#pragma once

#include <stdatomic.h>
#include "selftests/backend.h"
#include "user/clock.h"
#include "user/pod_list.h"

#define UID  "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID2 "00000000-4a5e-4f60-8b7c-9d0e1f2a3b4c"

#define POD(uid, app) "{\"metadata\":{\"uid\":\"" uid "\",\"labels\":{\"app\":\"" app "\"}}}"
#define LIST(items)   "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[" items "]}"

struct pod_fixture {
	struct backend *server;
	struct pod_list_options options;
	struct pod_list *list;
	char url[64], ca[64], token[64];
	atomic_int sockets_opened, sockets_open;
};

/* Of a group of tests: makes and removes the certificates, and sets proxies in the environment, which must not be used. */
int pod_fixture_setup_group(void **state);
int pod_fixture_teardown_group(void **state);

/* Of a test: a server, and options to ask it every 20 ms, which a test may change before it starts the list. */
int pod_fixture_setup(void **state);
/* Stops what is still there; fails where a socket was left open. */
int pod_fixture_teardown(void **state);
#define POD_FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, pod_fixture_setup, pod_fixture_teardown)

void pod_fixture_write_token(const struct pod_fixture *fixture, const char *text);

/* The server's answer to the next request not yet scripted; status 0: none, ever, so that nothing changes any more. */
void pod_fixture_answer(struct pod_fixture *fixture, int status, const char *headers, const char *body);

/* Another server in its place, at another port, with the certificate NAME. */
void pod_fixture_change_server(struct pod_fixture *fixture, const char *name);

/* The file NAME among the certificates as the CA to trust; NULL: the system's. */
void pod_fixture_trust(struct pod_fixture *fixture, const char *name);

void pod_fixture_start(struct pod_fixture *fixture);

/* Polls, since nobody tells of a change of status: until the latest request ended UP or not, for ten seconds at most. */
struct pod_list_status pod_fixture_wait(struct pod_fixture *fixture, bool up);

/* Waits for a failure, whose error must have WORDS in it. */
void pod_fixture_expect_error(struct pod_fixture *fixture, const char *words);

/* The first fact's value of the pod; "": nothing is known of it. Valid until the next call. */
const char *pod_fixture_app(struct pod_fixture *fixture, const char *uid);
