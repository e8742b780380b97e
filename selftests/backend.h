/* SPDX-License-Identifier: Apache-2.0 */
/* A backend for tests: HTTPS on 127.0.0.1, in a thread, that answers by script and keeps what it was sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;

struct backend_options {
	const char *cert, *key;
	const char *client_ca; /* client certificates are demanded, and must be signed by it; NULL: none is asked for */
	int port;              /* 0: any that is free */
	bool tls12;            /* no TLS 1.3 */
	bool closes;           /* the connection, after each answer */
};

/* NULL: failed. */
struct backend *backend_start(const struct backend_options *options);
void backend_stop(struct backend *backend);
int backend_port(const struct backend *backend);

/* The answer to the next request not yet scripted; without a script it is an empty 200. */
struct backend_answer {
	int status;          /* 0: none, ever */
	const char *headers; /* lines, each ended by \r\n; NULL: none */
	const void *body;
	size_t body_size;
};
void backend_script(struct backend *backend, const struct backend_answer *answer);

struct backend_request {
	uint64_t time_ns; /* CLOCK_MONOTONIC when it was complete */
	uint64_t sequence;
	uint64_t batch_records; /* as the batch says */
	size_t records;         /* as counted */
	size_t size, encoded;   /* of the body as it came, and uncompressed, bytes */
	uint32_t checksum;      /* of the body as it came */
	char head[1024];
};

/* Waits until request number INDEX (from 0) was received; false: not within ten seconds. */
bool backend_wait(struct backend *backend, size_t index, struct backend_request *ret_request);

/* Requests received, and connections accepted, handshake done or not. */
size_t backend_requests(struct backend *backend);
size_t backend_connections(struct backend *backend);
