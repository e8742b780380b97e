// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include "user/status.h"
#include "version.h"

static const char *const verdict_names[] = VERDICT_NAMES;
static const char *const kind_names[] = RECORD_KIND_NAMES;
static const char *const lost_names[] = LOST_REASON_NAMES;
static const char *const drop_names[] = DROP_REASON_NAMES;
static const char *const hook_names[] = IFACE_HOOK_NAMES;
static const char *const refusal_names[] = REFUSAL_NAMES;

/* TEXT; where that is not UTF-8, with "?" for each byte beyond ASCII: an odd name must not cost the whole answer. */
static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);
	_cleanup_(freep) char *ascii = string ? NULL : strdup(text);
	if (!ascii)
		return string;
	for (char *byte = ascii; *byte; byte++)
		if (*byte & 0x80)
			*byte = '?';
	return json_string(ascii);
}

/* An object with the reasons that occurred; those at zero are left out. */
static json_t *reasons(const char *const *names, const uint64_t *values, size_t first, size_t n)
{
	json_t *object = json_object();
	for (size_t i = first; object && i < n; i++)
		if (values[i])
			json_object_set_new(object, names[i], json_integer((json_int_t)values[i]));
	return object;
}

static json_t *hook_json(const struct hook_stats *stats)
{
	return json_pack("{s:I,s:I,s:I,s:o}", "seen", (json_int_t)stats->seen, "observed",
	                 (json_int_t)stats->verdicts[VERDICT_OBSERVED], "bytes_observed",
	                 (json_int_t)stats->bytes_observed, "skipped",
	                 reasons(verdict_names, (const uint64_t *)stats->verdicts, VERDICT_OBSERVED + 1, VERDICT_MAX));
}

static json_t *interfaces_json(const struct snapshot *snapshot)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < snapshot->n_ifaces; i++) {
		const struct snapshot_iface *iface = &snapshot->ifaces[i];
		json_array_append_new(array, json_pack("{s:o,s:i,s:s,s:o,s:o}", "name", text_json(iface->name),
		                                       "ifindex", (int)iface->ifindex, "hook", hook_names[iface->hook],
		                                       "ingress", hook_json(&iface->stats[DIRECTION_INGRESS]), "egress",
		                                       hook_json(&iface->stats[DIRECTION_EGRESS])));
	}
	return array;
}

static json_t *records_json(const struct snapshot *snapshot)
{
	json_t *object = json_object();
	for (int kind = 0; object && kind < RECORD_KIND_MAX; kind++) {
		const struct snapshot_records *records = &snapshot->records[kind];
		json_object_set_new(object, kind_names[kind],
		                    json_pack("{s:I,s:o,s:I,s:I,s:I,s:i,s:o}", "produced",
		                              (json_int_t)records->produced, "lost",
		                              reasons(lost_names, records->lost, 0, LOST_REASON_MAX), "received",
		                              (json_int_t)records->received, "acked", (json_int_t)records->acked,
		                              "queued", (json_int_t)records->queued, "spooled", 0, "dropped",
		                              reasons(drop_names, records->dropped, 0, DROP_REASON_MAX)));
	}
	return object;
}

int status_json(const struct snapshot *snapshot, const char *url, struct buf *out)
{
	uint64_t difference = snapshot_difference(snapshot);
	json_t *root = json_pack(
		"{s:s,s:o,s:{s:o,s:o},s:o,s:{s:I,s:I,s:I,s:I,s:I},s:{s:I,s:I},s:{s:o,s:b,s:o},s:{s:b,s:I,s:I,s:I,s:I,s:I}}",
		"version", SONDE_VERSION, "interfaces", interfaces_json(snapshot), "departed", "ingress",
		hook_json(&snapshot->departed[DIRECTION_INGRESS]), "egress",
		hook_json(&snapshot->departed[DIRECTION_EGRESS]), "records", records_json(snapshot), "flows", "current",
		(json_int_t)snapshot->readout.flows, "unreported_packets",
		(json_int_t)snapshot->readout.unreported.packets, "unreported_bytes",
		(json_int_t)snapshot->readout.unreported.bytes, "takeovers", (json_int_t)snapshot->dedupe.takeovers,
		"takeovers_ambiguous", (json_int_t)snapshot->dedupe.ambiguous, "ring", "bytes",
		(json_int_t)snapshot->backlog.bytes, "records", (json_int_t)snapshot->backlog.records, "backend", "url",
		text_json(url), "up", snapshot->ship.up, "last_error", text_json(snapshot->ship.last_error), "books",
		"balanced", difference == 0, "difference", (json_int_t)difference, "hooks",
		(json_int_t)snapshot->difference.hooks, "flows", (json_int_t)snapshot->difference.flows, "bytes",
		(json_int_t)snapshot->difference.bytes, "records", (json_int_t)snapshot->difference.records);
	if (!root)
		return -ENOMEM;
	json_object_set_new(root, "network_namespaces",
	                    json_pack("{s:I,s:o}", "attached", (json_int_t)snapshot->domains, "refused",
	                              reasons(refusal_names, snapshot->refused, 0, REFUSAL_MAX)));

	char *text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return -ENOMEM;
	int r = buf_append(out, text, strlen(text));
	free(text);
	return r < 0 ? r : buf_append(out, "\n", 1);
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* "duplicate 12, not_ip 3", or "-". */
static void reasons_text(json_t *object, struct buf *out)
{
	const char *key, *separator = "";
	json_t *value;

	if (json_object_size(object) == 0)
		buf_append(out, "-", 1);
	json_object_foreach(object, key, value)
	{
		buf_appendf(out, "%s%s %" JSON_INTEGER_FORMAT, separator, key, json_integer_value(value));
		separator = ", ";
	}
}

static void hook_text(const char *name, const char *hook, const char *direction, const json_t *stats, struct buf *out)
{
	buf_appendf(out, "  %-20s %-6s %-7s %14" PRIu64 " %14" PRIu64 "  ", name, hook, direction,
	            number(stats, "seen"), number(stats, "observed"));
	reasons_text(json_object_get(stats, "skipped"), out);
	buf_append(out, "\n", 1);
}

static void interfaces_text(const json_t *root, struct buf *out)
{
	const json_t *iface;
	size_t i;

	buf_appendf(out, "interfaces\n  %-20s %-6s %-7s %14s %14s  %s\n", "name", "hook", "", "seen", "observed",
	            "skipped");
	json_array_foreach(json_object_get(root, "interfaces"), i, iface)
	{
		const char *name = json_string_value(json_object_get(iface, "name"));
		const char *hook = json_string_value(json_object_get(iface, "hook"));
		hook_text(name, hook, "ingress", json_object_get(iface, "ingress"), out);
		hook_text("", "", "egress", json_object_get(iface, "egress"), out);
	}
	const json_t *departed = json_object_get(root, "departed");
	if (number(json_object_get(departed, "ingress"), "seen") ||
	    number(json_object_get(departed, "egress"), "seen")) {
		hook_text("(departed)", "", "ingress", json_object_get(departed, "ingress"), out);
		hook_text("", "", "egress", json_object_get(departed, "egress"), out);
	}
}

static void records_text(const json_t *root, struct buf *out)
{
	const char *kind;
	json_t *records;

	buf_appendf(out, "records\n  %-8s %12s %12s %12s %12s  %s\n", "kind", "produced", "received", "acked", "queued",
	            "lost; dropped");
	json_object_foreach(json_object_get(root, "records"), kind, records)
	{
		buf_appendf(out, "  %-8s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "  ", kind,
		            number(records, "produced"), number(records, "received"), number(records, "acked"),
		            number(records, "queued"));
		reasons_text(json_object_get(records, "lost"), out);
		buf_append(out, "; ", 2);
		reasons_text(json_object_get(records, "dropped"), out);
		buf_append(out, "\n", 1);
	}
}

int status_text(const char *json, struct buf *out)
{
	json_t *root = json_loads(json, 0, NULL);
	const json_t *backend = json_object_get(root, "backend"), *books = json_object_get(root, "books");
	if (!json_is_array(json_object_get(root, "interfaces")) || !backend || !books) {
		json_decref(root);
		return -EBADMSG;
	}

	const char *url = json_string_value(json_object_get(backend, "url"));
	const char *error = json_string_value(json_object_get(backend, "last_error"));
	buf_appendf(out, "sonde %s\n", json_string_value(json_object_get(root, "version")));
	interfaces_text(root, out);
	records_text(root, out);
	buf_appendf(out, "flows    %" PRIu64 " in the table, %" PRIu64 " packets not reported yet\n",
	            number(json_object_get(root, "flows"), "current"),
	            number(json_object_get(root, "flows"), "unreported_packets"));
	buf_appendf(out, "ring     %" PRIu64 " records waiting (%" PRIu64 " bytes)\n",
	            number(json_object_get(root, "ring"), "records"), number(json_object_get(root, "ring"), "bytes"));
	buf_appendf(out, "backend  %s %s%s%s\n", url && *url ? url : "(none)",
	            json_is_true(json_object_get(backend, "up")) ? "up" : "down", error && *error ? ": " : "",
	            error ? error : "");
	if (json_is_true(json_object_get(books, "balanced")))
		buf_appendf(out, "books    balanced\n");
	else
		buf_appendf(out,
		            "books    NOT balanced: difference %" PRIu64 " (hooks %" PRIu64 ", flows %" PRIu64
		            ", bytes %" PRIu64 ", records %" PRIu64 ")\n",
		            number(books, "difference"), number(books, "hooks"), number(books, "flows"),
		            number(books, "bytes"), number(books, "records"));
	json_decref(root);
	return out->error;
}
