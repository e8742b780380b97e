/* SPDX-License-Identifier: Apache-2.0 */
/* Capture files, pcap and pcapng, read through libpcap: frame by frame, brought to one of the link types we parse. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "user/cleanup.h"
#include "user/filter.h"

#define CAPTURE_REASON_SIZE 512

struct capture;

struct capture_frame {
	const uint8_t *data; /* until the next call for the same capture */
	uint32_t captured;   /* bytes at data */
	uint32_t length;     /* bytes it had on the wire; >= captured */
	uint64_t time_ns;    /* Unix time */
	enum link_type link_type;
};

/*
 * PATH: a file; "-": standard input. 0; -errno; -EBADMSG: it is no capture file; -EPROTONOSUPPORT: its frames are neither
 * Ethernet, raw IP, Linux cooked (SLL, SLL2) nor BSD loopback. REASON says it in words. Free with capture_free.
 */
int capture_open(const char *path, struct capture **ret_capture, char reason[static CAPTURE_REASON_SIZE]);
void capture_free(struct capture *capture);
DEFINE_CLEANUP(struct capture *, capture_free)

/* The path it was opened by. */
const char *capture_path(const struct capture *capture);

/*
 * 1 and the next frame; 0: the end; -EBADMSG: the file breaks off or holds what libpcap cannot read, see REASON.
 *
 * A cooked or loopback header that announces IP is taken off, and raw IP is left. One that announces something else
 * becomes an Ethernet header with the same EtherType, so that VLAN tags are walked and ARP is told from garbage as in any
 * other capture.
 */
int capture_next(struct capture *capture, struct capture_frame *ret_frame, char reason[static CAPTURE_REASON_SIZE]);

/*
 * Does libpcap's own interpreter let FRAME pass? For frames that the kernel's test run refuses: there is nobody else to
 * ask.
 */
bool capture_matches(const struct classic_program *program, const struct capture_frame *frame);
