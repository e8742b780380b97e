// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "selftests/pki.h"
#include "selftests/pod_fixture.h"

static char dir[] = "/tmp/unit_pod_list.XXXXXX";

static void count_socket(int fd, bool open, void *data)
{
	struct pod_fixture *fixture = data;
	if (open)
		fixture->sockets_opened++;
	fixture->sockets_open += open ? 1 : -1;
}

void pod_fixture_write_token(const struct pod_fixture *fixture, const char *text)
{
	_cleanup_(fclosep) FILE *file = fopen(fixture->token, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

static struct backend *start_server(const char *name)
{
	char cert[64], key[64];
	snprintf(cert, sizeof(cert), "%s/%s.crt", dir, name);
	snprintf(key, sizeof(key), "%s/%s.key", dir, name);
	return backend_start(&(struct backend_options) { .cert = cert, .key = key });
}

int pod_fixture_setup(void **state)
{
	struct pod_fixture *fixture = calloc(1, sizeof(*fixture));
	if (!fixture)
		return -1;
	*state = fixture;
	fixture->server = start_server("server");
	if (!fixture->server)
		return -1;
	snprintf(fixture->url, sizeof(fixture->url), "https://127.0.0.1:%d/pods", backend_port(fixture->server));
	snprintf(fixture->ca, sizeof(fixture->ca), "%s/ca.crt", dir);
	snprintf(fixture->token, sizeof(fixture->token), "%s/token", dir);
	pod_fixture_write_token(fixture, "first.token\n");
	fixture->options = (struct pod_list_options) {
		.url = fixture->url,
		.ca = fixture->ca,
		.token_file = fixture->token,
		.version = "7",
		.interval_ns = 20 * NS_PER_MS,
		.timeout_ns = 5 * NS_PER_SEC,
		.bytes_max = 1 << 20,
		.on_socket = count_socket,
		.on_socket_data = fixture,
	};
	return 0;
}

int pod_fixture_teardown(void **state)
{
	struct pod_fixture *fixture = *state;
	pod_list_stop(fixture->list);
	backend_stop(fixture->server);
	int open = fixture->sockets_open;
	free(fixture);
	return open ? -1 : 0;
}

void pod_fixture_trust(struct pod_fixture *fixture, const char *name)
{
	snprintf(fixture->ca, sizeof(fixture->ca), "%s/%s", dir, name ? name : "");
	fixture->options.ca = name ? fixture->ca : "";
}

void pod_fixture_start(struct pod_fixture *fixture)
{
	assert_int_equal(pod_list_start(&fixture->options, &fixture->list), 0);
}

void pod_fixture_answer(struct pod_fixture *fixture, int status, const char *headers, const char *body)
{
	const struct backend_answer scripted = { status, headers, body, strlen(body) };
	backend_script(fixture->server, &scripted);
}

void pod_fixture_change_server(struct pod_fixture *fixture, const char *name)
{
	backend_stop(fixture->server);
	fixture->server = start_server(name);
	assert_non_null(fixture->server);
	snprintf(fixture->url, sizeof(fixture->url), "https://127.0.0.1:%d/pods", backend_port(fixture->server));
}

struct pod_list_status pod_fixture_wait(struct pod_fixture *fixture, bool up)
{
	struct pod_list_status status;
	for (int i = 0; i < 1000; i++) {
		pod_list_status(fixture->list, &status);
		if (status.refreshes + status.failures && status.up == up)
			return status;
		poll(NULL, 0, 10);
	}
	fail_msg("still not %s: %s", up ? "up" : "down", status.last_error);
	return status;
}

const char *pod_fixture_app(struct pod_fixture *fixture, const char *uid)
{
	static char value[64];
	size_t n;
	_cleanup_(pod_facts_unrefp) struct pod_facts *facts = pod_list_find(fixture->list, uid);
	const struct pod_fact *all = pod_facts_all(facts, &n);
	snprintf(value, sizeof(value), "%s", n ? all->value : "");
	return value;
}

void pod_fixture_expect_error(struct pod_fixture *fixture, const char *words)
{
	struct pod_list_status status = pod_fixture_wait(fixture, false);
	if (!strstr(status.last_error, words))
		fail_msg("\"%s\" instead of \"%s\"", status.last_error, words);
}

int pod_fixture_setup_group(void **state)
{
	int64_t not_after;
	/* A proxy in the environment must not be used. */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	return mkdtemp(dir) ? pki_make(dir, &not_after) : -1;
}

int pod_fixture_teardown_group(void **state)
{
	pki_remove(dir);
	return 0;
}
