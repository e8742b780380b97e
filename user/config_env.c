// SPDX-License-Identifier: Apache-2.0
/* Values from environment variables: SONDE_FLOWS_MAX is flows.max. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "user/config_internal.h"

void config_variable(const char *prefix, const char *name, char ret_variable[static CONFIG_NAME_MAX])
{
	snprintf(ret_variable, CONFIG_NAME_MAX, "%s%s", prefix, name);
	for (char *c = ret_variable + strlen(prefix); *c; c++)
		*c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
}

static const struct config_key *find_key(const struct config_schema *schema, const char *variable)
{
	for (const struct config_key *key = schema->keys; key < schema->keys + schema->n_keys; key++) {
		char name[CONFIG_NAME_MAX];
		config_variable(schema->env_prefix, key->name, name);
		if (!strcmp(name, variable))
			return key;
	}
	return NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && !strcmp(text + size - end_size, end);
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

static bool is_service_address(const char *text)
{
	return !strncmp(text, "tcp://", 6) || !strncmp(text, "udp://", 6) || !strncmp(text, "sctp://", 7);
}

/* The behind-_PORT part of X_PORT_4318_TCP, X_PORT_4318_TCP_ADDR, ...: from the port's digits on. */
static bool is_port_suffix(const char *text)
{
	static const char *const protocols[] = { "_TCP", "_UDP", "_SCTP" };
	static const char *const parts[] = { "", "_PROTO", "_PORT", "_ADDR" };
	size_t digits = strspn(text, "0123456789");
	for (size_t i = 0; digits && i < ARRAY_SIZE(protocols); i++) {
		size_t size = strlen(protocols[i]);
		for (size_t j = 0; !strncmp(text + digits, protocols[i], size) && j < ARRAY_SIZE(parts); j++)
			if (!strcmp(text + digits + size, parts[j]))
				return true;
	}
	return false;
}

/*
 * What the kubelet gives every container for each service of its namespace, so that a service called sonde-sink makes
 * SONDE_SINK_SERVICE_HOST, _SERVICE_PORT[_NAME], _PORT and _PORT_<port>_<protocol>[_PROTO|_PORT|_ADDR]
 * (kubernetes.io, "Discovering services"). The values tell them from a mistyped key where the names do not.
 */
static bool is_service_link(const char *variable, const char *value)
{
	if (ends_with(variable, "_SERVICE_HOST"))
		return true;
	if (strstr(variable, "_SERVICE_PORT") && is_number(value))
		return true;
	if (ends_with(variable, "_PORT") && is_service_address(value))
		return true;
	for (const char *port = strstr(variable, "_PORT_"); port; port = strstr(port + 1, "_PORT_"))
		if (is_port_suffix(port + strlen("_PORT_")))
			return true;
	return false;
}

static bool is_ignored(const struct config_schema *schema, const char *variable)
{
	for (const char *const *prefix = schema->env_ignore; prefix && *prefix; prefix++)
		if (!strncmp(variable, *prefix, strlen(*prefix)))
			return true;
	return false;
}

static void unknown_variable(struct config_report *report, const char *variable, const struct config_origin *origin)
{
	const struct config_schema *schema = report->schema;
	const struct config_key *closest = config_closest(schema, variable + strlen(schema->env_prefix));
	char name[CONFIG_NAME_MAX];
	if (!closest) {
		config_problem(&report->problems, origin, NULL, "no key has this variable");
		return;
	}
	config_variable(schema->env_prefix, closest->name, name);
	config_problem(&report->problems, origin, NULL, "no key has this variable; did you mean %s?", name);
}

int config_apply_environment(struct config_report *report, char *const *environment)
{
	const struct config_schema *schema = report->schema;
	for (; *environment; environment++) {
		const char *value = strchr(*environment, '=');
		if (!value || strncmp(*environment, schema->env_prefix, strlen(schema->env_prefix)))
			continue;
		_cleanup_(freep) char *variable = strndup(*environment, (size_t)(value - *environment));
		if (!variable)
			return -ENOMEM;
		value++;

		const struct config_key *key = find_key(schema, variable);
		struct config_origin origin = { CONFIG_FROM_ENVIRONMENT, .text = *environment };
		if (key) {
			int r = config_apply(report, key, value, &origin);
			if (r < 0)
				return r;
		} else if (!is_ignored(schema, variable) && !is_service_link(variable, value)) {
			unknown_variable(report, variable, &origin);
		}
	}
	return 0;
}
