/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcapng blocks (draft-ietf-opsawg-pcapng) appended to a buffer, in the machine's byte order, which the section header
 * tells. A file is one section, then interfaces, each before its first packet; interfaces count from 0 in the order in
 * which they were written. All functions return 0 or the buffer's error, and on failure the content is as before. Texts
 * are UTF-8 and are cut at PCAPNG_TEXT_MAX bytes.
 */
#pragma once

#include <stdint.h>
#include "user/buf.h"

#define PCAPNG_TEXT_MAX   4096
#define PCAPNG_PACKET_MAX 262144 /* captured bytes: Wireshark gives up the whole file at a longer packet */

/* https://www.tcpdump.org/linktypes.html */
enum { PCAPNG_ETHERNET = 1, PCAPNG_RAW_IP = 101 };

enum pcapng_direction { PCAPNG_UNKNOWN = 0, PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

struct pcapng_interface {
	const char *name;        /* the device's; NULL or "": not told */
	const char *description; /* NULL or "": not told */
	uint16_t link_type;      /* PCAPNG_ETHERNET, PCAPNG_RAW_IP */
	uint32_t snaplen;        /* bytes; 0: no limit */
};

struct pcapng_packet {
	uint32_t interface;
	enum pcapng_direction direction;
	uint64_t time_ns;                          /* Unix time */
	uint32_t original_length, captured_length; /* bytes; captured_length is at most PCAPNG_PACKET_MAX */
	const void *data;                          /* captured_length bytes, from the link layer's header on */
	const char *comment;                       /* NULL or "": none */
};

/* The section header; APPLICATION is who writes the file. */
int pcapng_put_section(struct buf *out, const char *application);

/* An interface with time stamps in nanoseconds. */
int pcapng_put_interface(struct buf *out, const struct pcapng_interface *interface);

/* An enhanced packet; -EINVAL: captured_length beyond PCAPNG_PACKET_MAX. */
int pcapng_put_packet(struct buf *out, const struct pcapng_packet *packet);
