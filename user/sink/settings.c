// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include "user/listen.h"
#include "user/sink/settings.h"

#define MEMBER(name) offsetof(struct sink_settings, name)

/* ENUM: the order is that of enum log_level and enum log_format. */
static const char *const level_names[] = { "error", "warn", "info", "debug", NULL };
static const char *const format_names[] = { "logfmt", "json", NULL };

static int check_listen(const char *value, struct buf *error)
{
	char host[64];
	uint16_t port;
	if (listen_split(value, host, &port) == 0)
		return 0;
	buf_appendf(error, "is not an address with a port; try 0.0.0.0:4318 or [::]:4318");
	return -EINVAL;
}

static int check_listen_or_empty(const char *value, struct buf *error)
{
	return *value ? check_listen(value, error) : 0;
}

static const struct config_key keys[] = {
	{ .name = "listen",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(listen),
	  .fallback = "0.0.0.0:4318",
	  .max = 128,
	  .check = check_listen,
	  .help = "where sensors connect (mutual TLS)" },
	{ .name = "ca",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(ca),
	  .fallback = "",
	  .max = PATH_MAX - 1,
	  .help = "PEM file: the authority that signs the certificates of sensors; obligatory" },
	{ .name = "cert",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(cert),
	  .fallback = "",
	  .max = PATH_MAX - 1,
	  .help = "PEM file: the sink's own certificate, and its chain; obligatory" },
	{ .name = "key",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(key),
	  .fallback = "",
	  .max = PATH_MAX - 1,
	  .help = "PEM file: the private key of cert; obligatory" },
	{ .name = "dir",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(dir),
	  .fallback = "",
	  .max = PATH_MAX - 64,
	  .help = "directory of what is stored, made where it is missing; obligatory" },
	{ .name = "max_body",
	  .type = CONFIG_BYTES,
	  .offset = MEMBER(max_body),
	  .fallback = "16MiB",
	  .min = 4096,
	  .max = 1 << 30,
	  .help = "largest body of a request, as received and once unpacked" },
	{ .name = "metrics.listen",
	  .type = CONFIG_STRING,
	  .offset = MEMBER(metrics.listen),
	  .fallback = "127.0.0.1:9798",
	  .max = 128,
	  .check = check_listen_or_empty,
	  .help = "where /metrics and /healthz are (plain HTTP); empty: nowhere" },
	{ .name = "log.level",
	  .type = CONFIG_ENUM,
	  .offset = MEMBER(log.level),
	  .fallback = "info",
	  .choices = level_names,
	  .help = "what is logged: this and what is graver" },
	{ .name = "log.format",
	  .type = CONFIG_ENUM,
	  .offset = MEMBER(log.format),
	  .fallback = "logfmt",
	  .choices = format_names,
	  .help = "how lines of the log look" },
};

const struct config_schema sink_schema = {
	.env_prefix = "SONDE_SINK_",
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct sink_settings),
};

int sink_settings_load(const struct config_input *input, struct sink_settings *ret_settings, struct buf *error)
{
	struct sink_settings settings;
	int r = config_load(&sink_schema, input, &settings, NULL, error);
	if (r < 0)
		return r;

	const struct {
		const char *name, *value, *what;
	} needed[] = {
		{ "ca", settings.ca, "the PEM file of the authority that signs the certificates of sensors" },
		{ "cert", settings.cert, "the PEM file of the sink's own certificate" },
		{ "key", settings.key, "the PEM file of its private key" },
		{ "dir", settings.dir, "the directory in which to store" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (*needed[i].value)
			continue;
		buf_appendf(error, "%s: is not set; it names %s\n", needed[i].name, needed[i].what);
		r = -EINVAL;
	}
	if (r < 0) {
		sink_settings_free(&settings);
		return r;
	}
	*ret_settings = settings;
	return 0;
}

void sink_settings_free(struct sink_settings *settings)
{
	config_free(&sink_schema, settings);
}
