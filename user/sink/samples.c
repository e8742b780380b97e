// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <uthash.h>
#include "user/pcapng.h"
#include "user/sink/decode.h"
#include "user/sink/samples.h"

#define INTERFACES_MAX 4096 /* of a file; a transaction may pass it */
#define NAME_MAX_BYTES 256
#define COMMENT_MAX    PCAPNG_TEXT_MAX

struct interface {
	UT_hash_handle hh;
	uint32_t id;
	size_t key_size;
	char key[]; /* link type, host and name, each ended by a NUL */
};

struct samples {
	struct interface *interfaces; /* in the order of their ids */
	uint32_t committed;           /* so many of them are in the file */
	struct buf key, comment;
};

int samples_new(struct samples **ret_samples)
{
	struct samples *samples = malloc(sizeof(*samples));
	if (!samples)
		return -ENOMEM;
	*samples = (struct samples) { .key = BUF_INIT(4 * NAME_MAX_BYTES), .comment = BUF_INIT(COMMENT_MAX) };
	*ret_samples = samples;
	return 0;
}

static void forget_from(struct samples *samples, uint32_t id)
{
	struct interface *interface, *next;
	HASH_ITER (hh, samples->interfaces, interface, next) {
		if (interface->id < id)
			continue;
		HASH_DEL(samples->interfaces, interface);
		free(interface);
	}
}

void samples_free(struct samples *samples)
{
	forget_from(samples, 0);
	buf_free(&samples->key);
	buf_free(&samples->comment);
	free(samples);
}

bool is_sample(const struct record_view *view)
{
	const Sonde__Otlp__AnyValue *body = view->record->body;
	return body && body->value_case == SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE &&
	       strcmp(record_event_name(view->record), "sonde.packet") == 0;
}

int samples_begin_file(struct samples *samples, struct buf *out)
{
	forget_from(samples, 0);
	samples->committed = 0;
	return pcapng_put_section(out, "sonde-sink");
}

void samples_commit(struct samples *samples)
{
	samples->committed = HASH_COUNT(samples->interfaces);
}

void samples_rollback(struct samples *samples)
{
	forget_from(samples, samples->committed);
}

bool samples_full(const struct samples *samples)
{
	return HASH_COUNT(samples->interfaces) >= INTERFACES_MAX;
}

static const char *text_of(const struct record_view *view, const char *key)
{
	const char *text = attribute_text(view->record->attributes, view->record->n_attributes, key);
	return text ? text : "";
}

static const char *host_of(const struct record_view *view)
{
	const char *text =
		view->resource ? attribute_text(view->resource->attributes, view->resource->n_attributes, "host.name")
			       : NULL;
	return text ? text : "";
}

/* The interface's number; one that is new gets the next, and its block is appended. */
static int interface_id(struct samples *samples, const struct record_view *view, uint16_t link_type, struct buf *out,
                        uint32_t *ret_id)
{
	struct pcapng_interface block = {
		.name = text_of(view, "network.interface.name"),
		.description = host_of(view),
		.link_type = link_type,
	};
	struct buf *key = &samples->key;
	buf_reset(key);
	int r = buf_appendf(key, "%u%c%.*s%c%.*s", link_type, 0, NAME_MAX_BYTES, block.description, 0, NAME_MAX_BYTES,
	                    block.name);
	if (r < 0)
		return r;

	struct interface *interface;
	HASH_FIND(hh, samples->interfaces, key->data, key->size, interface);
	if (!interface) {
		r = pcapng_put_interface(out, &block);
		if (r < 0)
			return r;
		interface = malloc(sizeof(*interface) + key->size);
		if (!interface)
			return -ENOMEM;
		interface->id = HASH_COUNT(samples->interfaces);
		interface->key_size = key->size;
		memcpy(interface->key, key->data, key->size);
		HASH_ADD_KEYPTR(hh, samples->interfaces, interface->key, interface->key_size, interface);
	}
	*ret_id = interface->id;
	return 0;
}

/* "source.k8s.pod.name" of the record, for END "source". */
static const char *end_text(const struct record_view *view, const char *end, const char *attribute)
{
	char key[64];
	snprintf(key, sizeof(key), "%s.%s", end, attribute);
	return text_of(view, key);
}

/*
 * "source: shop/web-1 (nginx) curl 4711", after two spaces where something precedes it: the pod, its container, and the
 * process, as far as they are known; nothing where neither pod nor process is.
 */
static void put_end(struct buf *comment, const struct record_view *view, const char *end)
{
	const char *pod = end_text(view, end, "k8s.pod.name");
	const char *container = end_text(view, end, "k8s.container.name");
	const char *executable = end_text(view, end, "process.executable.name");
	char pid_key[64];
	int64_t pid;
	if (!*pod && !*executable)
		return;

	/* Names of Kubernetes have at most 253 characters, files' 255: what is longer is none, and is cut. */
	buf_appendf(comment, "%s%s:", comment->size ? "  " : "", end);
	if (*pod)
		buf_appendf(comment, " %.*s/%.*s", NAME_MAX_BYTES, end_text(view, end, "k8s.namespace.name"),
		            NAME_MAX_BYTES, pod);
	if (*pod && *container)
		buf_appendf(comment, " (%.*s)", NAME_MAX_BYTES, container);
	if (*executable)
		buf_appendf(comment, " %.*s", NAME_MAX_BYTES, executable);
	snprintf(pid_key, sizeof(pid_key), "%s.process.pid", end);
	if (*executable && attribute_number(view->record->attributes, view->record->n_attributes, pid_key, &pid))
		buf_appendf(comment, " %" PRId64, pid);
}

/* "sampled: http", behind the ends; nothing from senders that do not say why. */
static void put_reason(struct buf *comment, const struct record_view *view)
{
	const char *reason = text_of(view, "sonde.packet.reason");

	if (*reason)
		buf_appendf(comment, "%ssampled: %.*s", comment->size ? "  " : "", NAME_MAX_BYTES, reason);
}

static enum pcapng_direction direction_of(const struct record_view *view)
{
	const char *direction = text_of(view, "network.io.direction");
	if (strcmp(direction, "receive") == 0)
		return PCAPNG_INBOUND;
	return strcmp(direction, "transmit") == 0 ? PCAPNG_OUTBOUND : PCAPNG_UNKNOWN;
}

static int link_type_of(const struct record_view *view, uint16_t *ret_link_type)
{
	const char *name = text_of(view, "sonde.packet.link_type");
	if (strcmp(name, "ethernet") == 0)
		*ret_link_type = PCAPNG_ETHERNET;
	else if (strcmp(name, "raw_ip") == 0)
		*ret_link_type = PCAPNG_RAW_IP;
	else
		return -EBADMSG;
	return 0;
}

int samples_put(struct samples *samples, const struct record_view *view, struct buf *out,
                char reason[static SAMPLES_REASON_MAX])
{
	const Sonde__Otlp__LogRecord *record = view->record;
	const ProtobufCBinaryData *body = &record->body->bytes_value;
	int64_t original;
	uint16_t link_type;

	if (body->len > PCAPNG_PACKET_MAX) {
		snprintf(reason, SAMPLES_REASON_MAX, "a packet sample of %zu bytes; at most %d", body->len,
		         PCAPNG_PACKET_MAX);
		return -EBADMSG;
	}
	if (link_type_of(view, &link_type) < 0) {
		snprintf(reason, SAMPLES_REASON_MAX,
		         "a packet sample whose sonde.packet.link_type is not ethernet or raw_ip");
		return -EBADMSG;
	}
	if (!attribute_number(record->attributes, record->n_attributes, "packet.original_length", &original) ||
	    original < (int64_t)body->len || original > UINT32_MAX) {
		snprintf(reason, SAMPLES_REASON_MAX, "a packet sample whose packet.original_length is not its length");
		return -EBADMSG;
	}

	struct pcapng_packet packet = {
		.direction = direction_of(view),
		.time_ns = record->time_unix_nano ? record->time_unix_nano : record->observed_time_unix_nano,
		.original_length = (uint32_t)original,
		.captured_length = (uint32_t)body->len,
		.data = body->data,
	};
	int r = interface_id(samples, view, link_type, out, &packet.interface);
	if (r < 0)
		return r;
	buf_reset(&samples->comment);
	put_end(&samples->comment, view, "source");
	put_end(&samples->comment, view, "destination");
	put_reason(&samples->comment, view);
	packet.comment = buf_text(&samples->comment);
	return pcapng_put_packet(out, &packet);
}
