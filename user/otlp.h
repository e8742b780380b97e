/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches as OTLP: an ExportLogsServiceRequest in protobuf (opentelemetry-proto v1, field numbers in otlp.proto). The
 * attribute names are the ones of docs/records.md.
 */
#pragma once

#include "user/buf.h"
#include "user/record.h"

struct otlp_resource {
	const char *service_version, *host_name, *node_name; /* node_name NULL or "": left out */
	char stream_id[33];                                  /* 128 bits in hexadecimal */
};

/*
 * Appends the encoded batch to OUT. 0, -ENOMEM, or -EFBIG: more than OUT may hold. On the way there it takes 6 KiB of
 * memory a record.
 */
int otlp_encode(const struct otlp_resource *resource, uint64_t sequence, const struct record_list *records,
                struct buf *out);

/*
 * Bounds on what otlp_encode makes, bytes: no record gets larger than otlp_record_size says, nor what stands around them
 * than OTLP_ENVELOPE_SIZE (names of 255 bytes at most assumed). A record_measure.
 */
size_t otlp_record_size(const struct record *record);
#define OTLP_ENVELOPE_SIZE 1024
#define OTLP_RECORD_MAX    (128 * 1024) /* with names as long as Kubernetes has them, and a whole frame of 64 KiB */

/* An ExportLogsServiceResponse: how many records the backend took back as rejected, and its words ("" if none). */
struct otlp_response {
	uint64_t rejected;
	char message[256];
};
/* 0; -EBADMSG: not such a message. An empty body is a full success. */
int otlp_decode_response(const void *data, size_t size, struct otlp_response *ret_response);

/* The words of a google.rpc.Status, with which OTLP receivers refuse. 0; -EBADMSG: not such a message, or no words. */
int otlp_decode_status(const void *data, size_t size, char ret_message[static 256]);

/*
 * "1:" and 28 base64 digits: the Community ID v1 (seed 0) of a record's 5-tuple. TEXT holds at least 48 bytes. "" where
 * there is none: a later fragment has no ports.
 */
void community_id(const struct record *record, char text[static 48]);
