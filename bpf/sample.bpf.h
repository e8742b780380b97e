/* SPDX-License-Identifier: GPL-2.0-only */
/* Sample: which packets are worth shipping whole. Totals are exact whatever is decided here. */
#pragma once

#include "bpf/event.h"
#include "bpf/flow.bpf.h"

#define DNS_PORT      53 /* RFC 1035; not mDNS, which repeats itself all day */
#define PAYLOAD_BEGIN 8  /* bytes of a payload that tell TLS and HTTP from anything else */

/* Four characters as a number that is compared with four bytes in network order. */
#define TEXT(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* What is said of a packet that is to be shipped. */
struct sample_choice {
	__u32 one_in; /* it stands for so many; 1: it was certain to be chosen */
	__u8 reason;  /* enum sample_reason */
};

/* Over TCP with payload only: its handshakes and acknowledgements tell nothing of names. */
static __always_inline bool packet_is_dns(const struct packet *packet)
{
	if (packet->key.port[0] != bpf_htons(DNS_PORT) && packet->key.port[1] != bpf_htons(DNS_PORT))
		return false;
	return packet->key.protocol == IPPROTO_UDP || (packet->key.protocol == IPPROTO_TCP && packet->payload_size);
}

/* A handshake record (RFC 8446, 5.1: type 22, version 3.0 to 3.4) that begins with ClientHello (1) or ServerHello (2). */
static __always_inline bool begins_tls(__u32 first, __u32 second)
{
	__u32 message = second >> 16 & 0xff;

	return (first >> 8) - 0x160300 <= 4 && (message == 1 || message == 2);
}

/* A method of RFC 9110 or RFC 5789 and a space, or the version in a status line (RFC 9112). */
static __always_inline bool begins_http(__u32 first, __u32 second)
{
	switch (first) {
	case TEXT('G', 'E', 'T', ' '):
	case TEXT('P', 'U', 'T', ' '):
		return true;
	case TEXT('H', 'E', 'A', 'D'):
	case TEXT('P', 'O', 'S', 'T'):
		return second >> 24 == ' ';
	case TEXT('P', 'A', 'T', 'C'):
		return second >> 16 == TEXT(0, 0, 'H', ' ');
	case TEXT('T', 'R', 'A', 'C'):
		return second >> 16 == TEXT(0, 0, 'E', ' ');
	case TEXT('D', 'E', 'L', 'E'):
		return second >> 8 == TEXT(0, 'T', 'E', ' ');
	case TEXT('H', 'T', 'T', 'P'):
		return second >> 8 == TEXT(0, '/', '1', '.');
	case TEXT('O', 'P', 'T', 'I'):
		return second == TEXT('O', 'N', 'S', ' ');
	case TEXT('C', 'O', 'N', 'N'):
		return second == TEXT('E', 'C', 'T', ' ');
	default:
		return false;
	}
}

/*
 * What a TCP payload begins with: SAMPLE_TLS, SAMPLE_HTTP, or SAMPLE_REASON_MAX. On any port. Of a super-packet the
 * first segment is looked at; no hello and no head of a message fits into less than PAYLOAD_BEGIN bytes.
 */
static __always_inline __u32 payload_reason(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 space[PAYLOAD_BEGIN / sizeof(__u32)];

	if (packet->key.protocol != IPPROTO_TCP || packet->payload_size < PAYLOAD_BEGIN)
		return SAMPLE_REASON_MAX;
	const __u32 *begin = frame_at(skb, packet->payload, PAYLOAD_BEGIN, space);
	if (!begin)
		return SAMPLE_REASON_MAX;
	__u32 first = bpf_ntohl(begin[0]), second = bpf_ntohl(begin[1]);
	if (begins_tls(first, second))
		return SAMPLE_TLS;
	return begins_http(first, second) ? SAMPLE_HTTP : SAMPLE_REASON_MAX;
}

/* Why the packet is certain to be chosen, the first reason that holds; SAMPLE_REASON_MAX: it is not. */
static __always_inline __u32 sample_reason(struct __sk_buff *skb, const struct packet *packet,
                                           const struct flow_position *position)
{
	if (position->bytes_before < sensor.head_bytes)
		return SAMPLE_HEAD;
	if (packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return SAMPLE_CONTROL;
	if (packet_is_dns(packet))
		return SAMPLE_DNS;
	return payload_reason(skb, packet);
}

/* True: the packet is to be shipped, as far as the rate allows, for what *ret_sample says. */
static __always_inline bool sample_choose(struct __sk_buff *skb, const struct packet *packet,
                                          const struct flow_position *position, struct sample_choice *ret_sample)
{
	if (!sensor.samples || position->policy != POLICY_ALLOWED)
		return false;
	__u32 reason = sample_reason(skb, packet, position);
	if (reason < SAMPLE_REASON_MAX) {
		*ret_sample = (struct sample_choice) { .one_in = 1, .reason = reason };
		return true;
	}
	/* The lowest of one_in equal parts of the range; 1 is all of it. */
	if (!sensor.one_in || (__u64)bpf_get_prandom_u32() * sensor.one_in >> 32)
		return false;
	*ret_sample = (struct sample_choice) { .one_in = sensor.one_in, .reason = SAMPLE_ONE_IN };
	return true;
}
