// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "user/pcapng.h"

enum { BLOCK_INTERFACE = 1, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a };
enum { OPTION_END = 0, OPTION_COMMENT = 1 };
enum { SECTION_APPLICATION = 4 };
enum { INTERFACE_NAME = 2, INTERFACE_DESCRIPTION = 3, INTERFACE_TSRESOL = 9 };
enum { PACKET_FLAGS = 2 };

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define TSRESOL_NS       9 /* 10^-9 s */

struct block_header {
	uint32_t type;
	uint32_t size; /* of the whole block; stands once more at its end */
};
_Static_assert(sizeof(struct block_header) == 8, "block_header layout");

struct section_body {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t length[2]; /* all bits set: not known */
};
_Static_assert(sizeof(struct section_body) == 16, "section_body layout");

struct interface_body {
	uint16_t link_type, reserved;
	uint32_t snaplen;
};
_Static_assert(sizeof(struct interface_body) == 8, "interface_body layout");

struct packet_body {
	uint32_t interface;
	uint32_t time_high, time_low;
	uint32_t captured_length, original_length;
};
_Static_assert(sizeof(struct packet_body) == 20, "packet_body layout");

struct option {
	uint16_t code;
	const void *value;
	size_t size; /* 0: left out */
};

static struct option text_option(uint16_t code, const char *text)
{
	return (struct option) { code, text, text ? strnlen(text, PCAPNG_TEXT_MAX) : 0 };
}

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* Everything in a block is padded with zeros to 4 bytes. */
static char *put(char *at, const void *data, size_t size)
{
	if (size)
		memcpy(at, data, size);
	memset(at + size, 0, padded(size) - size);
	return at + padded(size);
}

static char *put_option(char *at, uint16_t code, const void *value, size_t size)
{
	uint16_t header[2] = { code, (uint16_t)size };
	return put(put(at, header, sizeof(header)), value, size);
}

/* A block: its fixed BODY, the packet's DATA, OPTIONS. Its room is reserved at once: all of it is written, or nothing.
 */
static int put_block(struct buf *out, uint32_t type, const void *body, size_t body_size, const void *data,
                     size_t data_size, const struct option *options, size_t n_options)
{
	struct block_header header = { .type = type };
	size_t size = sizeof(header) + body_size + padded(data_size) + sizeof(header.size);
	size_t options_size = 0;
	for (size_t i = 0; i < n_options; i++)
		if (options[i].size)
			options_size += 4 + padded(options[i].size);
	if (options_size)
		size += options_size + 4;
	header.size = (uint32_t)size;

	void *space;
	int r = buf_reserve(out, size, &space);
	if (r < 0)
		return r;

	char *at = put(space, &header, sizeof(header));
	at = put(at, body, body_size);
	at = put(at, data, data_size);
	for (size_t i = 0; i < n_options; i++)
		if (options[i].size)
			at = put_option(at, options[i].code, options[i].value, options[i].size);
	if (options_size)
		at = put_option(at, OPTION_END, NULL, 0);
	put(at, &header.size, sizeof(header.size));
	buf_commit(out, size);
	return 0;
}

int pcapng_put_section(struct buf *out, const char *application)
{
	struct section_body body = { .magic = BYTE_ORDER_MAGIC, .major = 1, .length = { UINT32_MAX, UINT32_MAX } };
	struct option options[] = { text_option(SECTION_APPLICATION, application) };
	return put_block(out, BLOCK_SECTION, &body, sizeof(body), NULL, 0, options, ARRAY_SIZE(options));
}

int pcapng_put_interface(struct buf *out, const struct pcapng_interface *interface)
{
	struct interface_body body = { .link_type = interface->link_type, .snaplen = interface->snaplen };
	uint8_t resolution = TSRESOL_NS;
	struct option options[] = {
		text_option(INTERFACE_NAME, interface->name),
		text_option(INTERFACE_DESCRIPTION, interface->description),
		{ INTERFACE_TSRESOL, &resolution, sizeof(resolution) },
	};
	return put_block(out, BLOCK_INTERFACE, &body, sizeof(body), NULL, 0, options, ARRAY_SIZE(options));
}

int pcapng_put_packet(struct buf *out, const struct pcapng_packet *packet)
{
	if (packet->captured_length > PCAPNG_PACKET_MAX)
		return -EINVAL;

	struct packet_body body = {
		.interface = packet->interface,
		.time_high = (uint32_t)(packet->time_ns >> 32),
		.time_low = (uint32_t)packet->time_ns,
		.captured_length = packet->captured_length,
		.original_length = packet->original_length,
	};
	uint32_t flags = packet->direction;
	struct option options[] = {
		text_option(OPTION_COMMENT, packet->comment),
		{ PACKET_FLAGS, &flags, flags ? sizeof(flags) : 0 },
	};
	return put_block(out, BLOCK_PACKET, &body, sizeof(body), packet->data, packet->captured_length, options,
	                 ARRAY_SIZE(options));
}
