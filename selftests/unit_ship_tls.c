// SPDX-License-Identifier: Apache-2.0
/* Delivery with certificates that one side does not accept: what is said, and that a reload mends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "selftests/backend.h"
#include "selftests/ship_fixture.h"

struct tls_row {
	const char *server, *client_ca; /* of the backend */
	const char *ca, *cert, *key;    /* ours */
	const char *host;
	bool tls12;
	const char *says;
};

static void run_tls_row(const struct tls_row *row)
{
	struct fixture fixture;
	char cert[64], key[64];
	snprintf(cert, sizeof(cert), "%s.crt", row->server);
	snprintf(key, sizeof(key), "%s.key", row->server);
	struct backend *backend = backend_start(&(struct backend_options) {
		.cert = fixture_file(cert),
		.key = fixture_file(key),
		.client_ca = row->client_ca ? fixture_file(row->client_ca) : NULL,
		.tls12 = row->tls12,
	});
	assert_non_null(backend);
	fixture_prepare(&fixture, backend_port(backend));
	if (row->host)
		snprintf(fixture.url, sizeof(fixture.url), "https://%s:%d", row->host, backend_port(backend));
	fixture.options.ca = row->ca ? fixture_file(row->ca) : fixture.options.ca;
	fixture.options.cert = row->cert ? (*row->cert ? fixture_file(row->cert) : "") : fixture.options.cert;
	fixture.options.key = row->key ? (*row->key ? fixture_file(row->key) : "") : fixture.options.key;
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	/* The first attempt must know it: an alert is easily lost when the backend resets the connection. */
	assert_says_at_once(&fixture, row->says);
	assert_int_equal(backend_requests(backend), 0);
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 0);

	if (strcmp(row->server, "server") == 0) {
		fixture.options.ca = fixture_file("ca.crt");
		fixture.options.cert = fixture_file("client.crt");
		fixture.options.key = fixture_file("client.key");
		assert_int_equal(ship_reload(fixture.ship, &fixture.options), 0);
		assert_true(eventually(&fixture, is_up, NULL));
		assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 10);
	}
	fixture_finish(&fixture, SECOND / 10);
	backend_stop(backend);
}

static void test_certificates(void **state)
{
	static const struct tls_row rows[] = {
		{ "server", "ca.crt", .ca = "other-ca.crt", .says = "not signed by backend.ca" },
		{ "stranger", "ca.crt", .says = "for another name than backend.url" },
		{ "stale", "ca.crt", .says = "backend's certificate, or its CA's, has expired" },
		{ "server", "ca.crt", .cert = "", .key = "", .says = "demands a client certificate" },
		{ "server", "ca.crt", .cert = "", .key = "", .tls12 = true, .says = "demands a client certificate" },
		{ "server", "ca.crt", .cert = "foreign.crt", .key = "foreign.key", .says = "does not know who signed" },
		{ "server", "ca.crt", .cert = "expired.crt", .key = "expired.key",
		  .says = "says that backend.cert has expired" },
		{ "server", "ca.crt", .ca = "missing.crt", .says = "backend.ca cannot be used" },
		{ "server", "ca.crt", .ca = "ca.key", .says = "backend.ca cannot be used" },
		{ "server", "ca.crt", .cert = "missing.crt", .says = "backend.cert and backend.key cannot be used" },
		{ "server", "ca.crt", .key = "server.key", .says = "backend.cert and backend.key cannot be used" },
		{ "server", "ca.crt", .key = "locked.key", .says = "backend.cert and backend.key cannot be used" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].says);
		run_tls_row(&rows[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_certificates) };
	return cmocka_run_group_tests_name("ship_tls", tests, fixture_setup, fixture_teardown);
}
