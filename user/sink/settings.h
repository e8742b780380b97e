/* SPDX-License-Identifier: Apache-2.0 */
/* The sink's configuration: each key of docs/sink.md as a typed member. Sizes: bytes. */
#pragma once

#include "user/config.h"
#include "user/log.h"

struct sink_settings {
	char *listen;      /* "address:port", "[v6]:port"; port 0: any */
	char *ca;          /* PEM: who signs the certificates of clients */
	char *cert, *key;  /* PEM: the sink's own */
	char *dir;         /* where records, packets and journal are */
	uint64_t max_body; /* of a request, as received and once unpacked */
	struct {
		char *listen; /* "": no endpoint */
	} metrics;
	struct {
		int level;  /* enum log_level */
		int format; /* enum log_format */
	} log;
};

extern const struct config_schema sink_schema;

/*
 * config_load for the sink, and the check that what has no default is given. Free with sink_settings_free. Errors as
 * config_load.
 */
int sink_settings_load(const struct config_input *input, struct sink_settings *ret_settings, struct buf *error);
void sink_settings_free(struct sink_settings *settings);
