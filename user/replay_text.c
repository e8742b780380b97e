// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include "user/otlp.h"
#include "user/replay_text.h"

/* JSON takes a control character of a name as six bytes. */
#define LINE_MAX_BYTES (6 * OTLP_RECORD_MAX)

/* Calls PRINT with each flow as JSON, biggest first. 0 or -errno. */
static int each_flow(const struct replay_result *result, FILE *out,
                     int (*print)(const char *json, size_t index, FILE *out))
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(LINE_MAX_BYTES);
	_cleanup_(freep) const struct record **records = NULL;
	size_t n = 0;

	int r = replay_flows_sorted(result->flows, &records, &n);
	for (size_t i = 0; i < n && r == 0; i++) {
		buf_reset(&line);
		r = replay_flow_json(records[i], &line);
		if (r == 0)
			r = print(buf_text(&line), i, out);
	}
	return r;
}

static int finish(FILE *out)
{
	return fflush(out) == EOF || ferror(out) ? -EIO : 0;
}

static int print_json_flow(const char *json, size_t index, FILE *out)
{
	fprintf(out, "%s\n%s", index ? "," : "", json);
	return 0;
}

int replay_print_json(const struct replay_result *result, FILE *out)
{
	static const char *const names[VERDICT_MAX] = VERDICT_NAMES;

	fprintf(out, "{\"packets\":%" PRIu64 ",\"verdicts\":{", result->packets);
	for (int verdict = 0; verdict < VERDICT_MAX; verdict++)
		fprintf(out, "%s\"%s\":%" PRIu64, verdict ? "," : "", names[verdict], result->verdicts[verdict]);
	fprintf(out, "},\"samples\":%" PRIu64 ",\"sampled_bytes\":%" PRIu64 ",\"flows\":[", result->samples,
	        result->sampled_bytes);
	int r = each_flow(result, out, print_json_flow);
	fprintf(out, "]}\n");
	return r < 0 ? r : finish(out);
}

static json_int_t number(const json_t *flow, const char *key)
{
	return json_integer_value(json_object_get(flow, key));
}

static const char *text(const json_t *flow, const char *key, const char *otherwise)
{
	const char *value = json_string_value(json_object_get(flow, key));
	return value ? value : otherwise;
}

/* "10.0.0.1:443", "[fd00::1]:443", or without a port. */
static void print_end(const json_t *flow, const char *address_key, const char *port_key, char *to, size_t size)
{
	const char *address = text(flow, address_key, "");
	json_int_t port = number(flow, port_key);
	if (!port)
		snprintf(to, size, "%s", address);
	else
		snprintf(to, size, strchr(address, ':') ? "[%s]:%" JSON_INTEGER_FORMAT : "%s:%" JSON_INTEGER_FORMAT,
		         address, port);
}

static int print_text_flow(const char *json, size_t index, FILE *out)
{
	char source[64], destination[64];
	json_t *flow = json_loads(json, 0, NULL);
	if (!flow)
		return -ENOMEM;

	if (!index)
		fprintf(out, "\n%-9s %-24s   %-24s %10s %12s %10s %12s %10s  %s\n", "protocol", "source", "destination",
		        "-> packets", "bytes", "<- packets", "bytes", "seconds", "ended by");
	print_end(flow, "source.address", "source.port", source, sizeof(source));
	print_end(flow, "destination.address", "destination.port", destination, sizeof(destination));
	const char *protocol = text(flow, "network.transport", text(flow, "network.iana_number", ""));
	double seconds = (double)(number(flow, "sonde.flow.end") - number(flow, "sonde.flow.start")) / 1e9;
	fprintf(out,
	        "%-9s %-24s > %-24s %10" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT
	        " %12" JSON_INTEGER_FORMAT " %10.3f  %s\n",
	        protocol, source, destination, number(flow, "source.packets"), number(flow, "source.bytes"),
	        number(flow, "destination.packets"), number(flow, "destination.bytes"), seconds,
	        text(flow, "sonde.flow.reason", ""));
	json_decref(flow);
	return 0;
}

int replay_print_text(const struct replay_result *result, FILE *out)
{
	static const char *const names[VERDICT_MAX] = VERDICT_NAMES;

	fprintf(out, "%-12s %10" PRIu64 "\n", "packets", result->packets);
	for (int verdict = 0; verdict < VERDICT_MAX; verdict++)
		if (result->verdicts[verdict])
			fprintf(out, "  %-10s %10" PRIu64 "  %5.1f %%\n", names[verdict], result->verdicts[verdict],
			        100.0 * (double)result->verdicts[verdict] / (double)result->packets);
	fprintf(out, "%-12s %10" PRIu64 "  %" PRIu64 " bytes\n", "samples", result->samples, result->sampled_bytes);
	int r = each_flow(result, out, print_text_flow);
	return r < 0 ? r : finish(out);
}
