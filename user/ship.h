/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shipping: a thread that takes batches from the queue, encodes and compresses them, posts them over mTLS to the
 * backend, and settles them in the books. Failures that may pass are retried with exponential backoff and full jitter.
 */
#pragma once

#include <stdbool.h>
#include "user/otlp.h"
#include "user/queue.h"

struct ship_options {
	const char *url; /* "https://host:port": the batch goes to {url}/v1/logs; "": records are dropped{no_backend} */
	/*
	 * PEM files, "" where not used (ca: then the system's CAs are trusted); read again at every new connection, and no
	 * connection is used for longer than ten minutes.
	 */
	const char *ca, *cert, *key;
	const char *proxy, *no_proxy; /* "http://host:port", "": none; the hosts that are reached without it */
	bool gzip;
	uint64_t timeout_ns; /* of one request, connecting included */
	/*
	 * A batch is closed when batch_records wait, or batch_bytes / 2 KiB (about what a record takes, encoded), or when the
	 * oldest has waited for batch_age_ns. It holds as many as surely encode into batch_bytes, or a single record that is
	 * larger than that. None may be 0.
	 */
	size_t batch_records, batch_bytes;
	uint64_t batch_age_ns;
	struct otlp_resource resource;
	/*
	 * Tells of each TCP socket to the backend or to its proxy, from the shipping thread: open before it connects,
	 * and closed before its descriptor is closed. The sensor must not observe its own traffic.
	 */
	void (*on_socket)(int fd, bool open, void *data);
	void *on_socket_data;
};

struct ship_status {
	bool up;                                              /* the latest attempt was answered with 2xx */
	char last_error[256];                                 /* says what to do; "" : none since the last success */
	uint64_t sequence;                                    /* of the last batch closed */
	uint64_t batches_sent, batches_retried;               /* taken with 2xx; attempts after the first */
	uint64_t bytes_encoded, bytes_compressed, bytes_sent; /* sonde_export_bytes_total{stage} */
	int64_t cert_expiry,
		ca_expiry; /* Unix time of the earliest notAfter in the file; 0: no file, or not readable */
};

struct ship;

/* Starts the thread. OPTIONS is copied. 0 or -errno. */
int ship_start(const struct ship_options *options, struct queue *queue, struct ship **ret_ship);

/* New certificates or timeouts: used from the next request on. 0 or -errno, then the old ones stay. */
int ship_reload(struct ship *ship, const struct ship_options *options);

void ship_status(struct ship *ship, struct ship_status *ret_status);

/* Sends what is queued for up to TIMEOUT_NS, then ends the thread and frees SHIP; what is left stays in the queue. */
void ship_stop(struct ship *ship, uint64_t timeout_ns);
