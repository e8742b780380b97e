// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <net/ethernet.h>
#include <pcap/pcap.h>
#include <pcap/sll.h>
#include "user/capture.h"
#include "user/clock.h"

/* Later than any capture, and far from where a sum of two times would wrap. */
#define TIME_MAX_NS (1ULL << 62)

struct capture {
	pcap_t *pcap;
	char *path;
	int link;          /* DLT_* */
	uint8_t *ethernet; /* a frame with a made-up Ethernet header */
	size_t ethernet_size;
};

static bool link_is_known(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
		return true;
	default:
		return false;
	}
}

int capture_open(const char *path, struct capture **ret_capture, char reason[static CAPTURE_REASON_SIZE])
{
	_cleanup_(capture_freep) struct capture *capture = calloc(1, sizeof(*capture));
	_cleanup_(fclosep) FILE *file = strcmp(path, "-") == 0 ? fdopen(dup(STDIN_FILENO), "rb") : fopen(path, "rbe");
	char error[PCAP_ERRBUF_SIZE] = "";

	if (!capture || !file) {
		int r = capture ? -errno : -ENOMEM;
		snprintf(reason, CAPTURE_REASON_SIZE, "%s", strerrordesc_np(-r));
		return r;
	}
	capture->path = strdup(path);
	if (!capture->path)
		return -ENOMEM;
	capture->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!capture->pcap) {
		snprintf(reason, CAPTURE_REASON_SIZE, "%s", error);
		return -EBADMSG;
	}
	file = NULL; /* libpcap closes it */
	capture->link = pcap_datalink(capture->pcap);
	if (!link_is_known(capture->link)) {
		const char *name = pcap_datalink_val_to_description_or_dlt(capture->link);
		snprintf(reason, CAPTURE_REASON_SIZE,
		         "its link type, %s, is neither Ethernet, raw IP, Linux cooked nor BSD loopback", name);
		return -EPROTONOSUPPORT;
	}
	*ret_capture = TAKE_PTR(capture);
	return 0;
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->pcap)
		pcap_close(capture->pcap);
	free(capture->path);
	free(capture->ethernet);
	free(capture);
}

const char *capture_path(const struct capture *capture)
{
	return capture->path;
}

static uint16_t get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

/* The address family in front of a loopback frame (DLT_NULL: in the byte order of whoever captured). */
static uint16_t loopback_type(const uint8_t *header)
{
	uint32_t family = (uint32_t)get16(header) << 16 | get16(header + 2);
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2:
		return ETHERTYPE_IP;
	case 10: /* AF_INET6: Linux, */
	case 23: /* Windows, */
	case 24: /* NetBSD and OpenBSD, */
	case 28: /* FreeBSD, */
	case 30: /* macOS */
		return ETHERTYPE_IPV6;
	default:
		return 0;
	}
}

/* How long the header in front is and which EtherType it announces; 0: it is no header of ours to take off. */
static size_t pseudo_header(int link, const uint8_t *data, size_t size, uint16_t *ret_type)
{
	switch (link) {
	case DLT_LINUX_SLL:
		*ret_type = size < SLL_HDR_LEN ? 0 : get16(data + offsetof(struct sll_header, sll_protocol));
		return SLL_HDR_LEN;
	case DLT_LINUX_SLL2:
		*ret_type = size < SLL2_HDR_LEN ? 0 : get16(data + offsetof(struct sll2_header, sll2_protocol));
		return SLL2_HDR_LEN;
	case DLT_NULL:
	case DLT_LOOP:
		*ret_type = size < 4 ? 0 : loopback_type(data);
		return 4;
	default:
		return 0;
	}
}

/* Puts an Ethernet header without addresses in front. */
static int dress(struct capture *capture, uint16_t type, struct capture_frame *frame)
{
	size_t size = ETHER_HDR_LEN + frame->captured;
	if (size > capture->ethernet_size) {
		uint8_t *space = realloc(capture->ethernet, size);
		if (!space)
			return -ENOMEM;
		capture->ethernet = space;
		capture->ethernet_size = size;
	}
	memset(capture->ethernet, 0, ETHER_HDR_LEN);
	capture->ethernet[12] = (uint8_t)(type >> 8);
	capture->ethernet[13] = (uint8_t)type;
	memcpy(capture->ethernet + ETHER_HDR_LEN, frame->data, frame->captured);
	frame->data = capture->ethernet;
	frame->captured += ETHER_HDR_LEN;
	frame->length += ETHER_HDR_LEN;
	frame->link_type = LINK_ETHERNET;
	return 0;
}

static int undress(struct capture *capture, struct capture_frame *frame)
{
	uint16_t type = 0;
	size_t header = pseudo_header(capture->link, frame->data, frame->captured, &type);
	bool cut = frame->captured < header;

	if (!header)
		return 0;
	if (cut)
		header = frame->captured;
	frame->data += header;
	frame->captured -= (uint32_t)header;
	frame->length -= (uint32_t)header;
	if (frame->captured &&
	    ((type == ETHERTYPE_IP && *frame->data >> 4 == 4) || (type == ETHERTYPE_IPV6 && *frame->data >> 4 == 6)))
		return 0;
	return cut ? 0 : dress(capture, type, frame);
}

static uint64_t frame_time(const struct timeval *time)
{
	if (time->tv_sec < 0 || (uint64_t)time->tv_sec > TIME_MAX_NS / NS_PER_SEC)
		return TIME_MAX_NS;
	/* libpcap was asked for nanoseconds, and puts them there. */
	return (uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_usec;
}

int capture_next(struct capture *capture, struct capture_frame *ret_frame, char reason[static CAPTURE_REASON_SIZE])
{
	struct pcap_pkthdr *header;
	struct capture_frame frame = { .link_type = capture->link == DLT_EN10MB ? LINK_ETHERNET : LINK_RAW_IP };
	int r = pcap_next_ex(capture->pcap, &header, &frame.data);

	if (r == PCAP_ERROR_BREAK)
		return 0;
	if (r != 1) {
		snprintf(reason, CAPTURE_REASON_SIZE, "%s", pcap_geterr(capture->pcap));
		return -EBADMSG;
	}
	frame.captured = header->caplen;
	frame.length = header->len > header->caplen ? header->len : header->caplen;
	frame.time_ns = frame_time(&header->ts);
	r = undress(capture, &frame);
	if (r < 0)
		return r;
	*ret_frame = frame;
	return 1;
}

bool capture_matches(const struct classic_program *program, const struct capture_frame *frame)
{
	_Static_assert(sizeof(struct classic_insn) == sizeof(struct bpf_insn), "one layout, two names");
	return bpf_filter((const struct bpf_insn *)program->insns, frame->data, frame->length, frame->captured) != 0;
}
