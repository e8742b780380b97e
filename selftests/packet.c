// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/if_ether.h>
#include "selftests/packet.h"

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

#define GRE_CHECKSUM 0x8000
#define GRE_KEY      0x2000
#define GRE_SEQUENCE 0x1000

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, value >> 16);
	put16(to + 2, value);
}

static size_t gre_size(uint16_t flags)
{
	return 4 * (size_t)(1 + !!(flags & GRE_CHECKSUM) + !!(flags & GRE_KEY) + !!(flags & GRE_SEQUENCE));
}

static size_t layer_size(const struct layer *layer)
{
	switch (layer->kind) {
	case LAYER_ETHERNET:
		return 14;
	case LAYER_VLAN:
		return 4;
	case LAYER_IPV4:
	case LAYER_TCP:
		return 20 + layer->options;
	case LAYER_IPV6:
		return 40;
	case LAYER_EXTENSION:
	case LAYER_GENEVE:
		return 8 + layer->options;
	case LAYER_GRE:
		return gre_size(layer->flags);
	case LAYER_SCTP:
		return 12;
	case LAYER_UDP:
	case LAYER_ICMP:
	case LAYER_ICMPV6:
	case LAYER_VXLAN:
		return 8;
	case LAYER_BYTES:
	case LAYER_TEXT:
	case LAYER_PADDING:
		return layer->size;
	default:
		return 0;
	}
}

static uint16_t ether_type(const struct layer *layer, const struct layer *next)
{
	if (layer->type)
		return layer->type;
	switch (next->kind) {
	case LAYER_IPV4:
		return ETH_P_IP;
	case LAYER_IPV6:
		return ETH_P_IPV6;
	case LAYER_VLAN:
		return ETH_P_8021Q;
	case LAYER_ETHERNET:
		return ETH_P_TEB;
	default:
		return 0x88b5; /* IEEE 802, local experiments */
	}
}

static uint8_t protocol(const struct layer *layer, const struct layer *next)
{
	if (layer->protocol)
		return layer->protocol;
	switch (next->kind) {
	case LAYER_EXTENSION:
		return next->number;
	case LAYER_TCP:
		return IPPROTO_TCP;
	case LAYER_UDP:
		return IPPROTO_UDP;
	case LAYER_SCTP:
		return IPPROTO_SCTP;
	case LAYER_ICMP:
		return IPPROTO_ICMP;
	case LAYER_ICMPV6:
		return IPPROTO_ICMPV6;
	case LAYER_GRE:
		return IPPROTO_GRE;
	case LAYER_IPV4:
		return IPPROTO_IPIP;
	case LAYER_IPV6:
		return IPPROTO_IPV6;
	default:
		return IPPROTO_NONE;
	}
}

static void put_addresses(uint8_t *to, const struct layer *layer, int family)
{
	size_t size = family == AF_INET ? 4 : 16;
	const char *from_text = layer->from ? layer->from : family == AF_INET ? "10.0.0.1" : "fd00::1";
	const char *to_text = layer->to ? layer->to : family == AF_INET ? "10.0.0.2" : "fd00::2";

	assert_int_equal(inet_pton(family, from_text, to + (layer->reply ? size : 0)), 1);
	assert_int_equal(inet_pton(family, to_text, to + (layer->reply ? 0 : size)), 1);
}

static void put_ports(uint8_t *to, const struct layer *layer)
{
	uint16_t ports[] = { layer->from_port ? layer->from_port : 40000, layer->to_port ? layer->to_port : 443 };
	put16(to, ports[layer->reply]);
	put16(to + 2, ports[!layer->reply]);
}

static uint32_t length_field(const struct layer *layer, size_t length)
{
	return layer->no_length ? 0 : (uint32_t)((int)length + layer->longer);
}

/* RFC 791. LENGTH: of the layer and all that is in it. */
static void put_ipv4(uint8_t *to, const struct layer *layer, const struct layer *next, size_t length)
{
	size_t header = layer->header ? layer->header : layer_size(layer);
	to[0] = (uint8_t)((layer->version ? layer->version : 4) << 4 | header / 4);
	put16(to + 2, length_field(layer, length));
	put16(to + 4, layer->id);
	put16(to + 6, layer->fragment | (layer->more ? 0x2000 : 0));
	to[8] = 64;
	to[9] = protocol(layer, next);
	put_addresses(to + 12, layer, AF_INET);
}

/* RFC 8200. */
static void put_ipv6(uint8_t *to, const struct layer *layer, const struct layer *next, size_t length)
{
	to[0] = (uint8_t)((layer->version ? layer->version : 6) << 4);
	put16(to + 4, length_field(layer, length - 40));
	to[6] = protocol(layer, next);
	to[7] = 64;
	put_addresses(to + 8, layer, AF_INET6);
}

/* RFC 8200 and, for the authentication header's length in words, RFC 4302. */
static void put_extension(uint8_t *to, const struct layer *layer, const struct layer *next)
{
	size_t size = layer_size(layer) + (size_t)layer->longer; /* wraps where it is negative, and back */
	to[0] = protocol(layer, next);
	if (layer->number == IPPROTO_FRAGMENT) {
		put16(to + 2, (uint32_t)layer->fragment << 3 | layer->more);
		put32(to + 4, layer->id);
	} else if (layer->number == IPPROTO_AH) {
		to[1] = (uint8_t)(size / 4 - 2);
	} else {
		to[1] = (uint8_t)(size / 8 - 1);
	}
}

/* RFC 9293. */
static void put_tcp(uint8_t *to, const struct layer *layer)
{
	size_t header = layer->header ? layer->header : layer_size(layer);
	put_ports(to, layer);
	to[12] = (uint8_t)(header / 4 << 4);
	to[13] = layer->flags ? (uint8_t)layer->flags : TH_ACK;
}

/* RFC 7348. */
static void put_vxlan(uint8_t *to, const struct layer *layer)
{
	to[0] = layer->flags ? (uint8_t)layer->flags : 0x08;
	put32(to + 4, layer->id << 8);
}

/* RFC 8926. */
static void put_geneve(uint8_t *to, const struct layer *layer, const struct layer *next)
{
	put16(to, layer->flags | (uint32_t)(layer->options + layer->longer) / 4 << 8);
	put16(to + 2, ether_type(layer, next));
	put32(to + 4, layer->id << 8);
}

/* RFC 2784, RFC 2890. */
static void put_gre(uint8_t *to, const struct layer *layer, const struct layer *next)
{
	put16(to, layer->flags);
	put16(to + 2, ether_type(layer, next));
	if (layer->flags & GRE_KEY)
		put32(to + 4 + (layer->flags & GRE_CHECKSUM ? 4 : 0), layer->id);
}

static void put_layer(uint8_t *to, const struct layer *layer, const struct layer *next, size_t length)
{
	switch (layer->kind) {
	case LAYER_ETHERNET:
		put16(to + 12, ether_type(layer, next));
		break;
	case LAYER_VLAN:
		put16(to, layer->id);
		put16(to + 2, ether_type(layer, next));
		break;
	case LAYER_IPV4:
		put_ipv4(to, layer, next, length);
		break;
	case LAYER_IPV6:
		put_ipv6(to, layer, next, length);
		break;
	case LAYER_EXTENSION:
		put_extension(to, layer, next);
		break;
	case LAYER_TCP:
		put_tcp(to, layer);
		break;
	case LAYER_UDP:
		put_ports(to, layer);
		put16(to + 4, length_field(layer, length));
		break;
	case LAYER_SCTP:
		put_ports(to, layer);
		break;
	case LAYER_ICMP:
	case LAYER_ICMPV6:
		to[0] = (uint8_t)layer->type;
		to[1] = layer->code;
		break;
	case LAYER_VXLAN:
		put_vxlan(to, layer);
		break;
	case LAYER_GENEVE:
		put_geneve(to, layer, next);
		break;
	case LAYER_GRE:
		put_gre(to, layer, next);
		break;
	case LAYER_TEXT:
		memcpy(to, layer->text, layer->size);
		break;
	case LAYER_BYTES:
		for (size_t i = 0; i < layer->size; i++)
			to[i] = (uint8_t)(i * 7 + 1);
		break;
	default:
		break;
	}
}

void packet_build(const struct layer layers[static LAYERS_MAX], struct frame *ret_frame)
{
	static const struct layer none = { .kind = LAYER_NONE };
	size_t size = 0, end = 0;

	for (size_t i = 0; i < LAYERS_MAX; i++) {
		size += layer_size(&layers[i]);
		if (layers[i].kind != LAYER_PADDING && layers[i].kind != LAYER_NONE)
			end = size;
	}
	assert_true(size <= FRAME_MAX);
	memset(ret_frame->data, 0, sizeof(ret_frame->data));

	size_t at = 0;
	for (size_t i = 0; i < LAYERS_MAX && layers[i].kind != LAYER_NONE; i++) {
		put_layer(ret_frame->data + at, &layers[i], i + 1 < LAYERS_MAX ? &layers[i + 1] : &none, end - at);
		at += layer_size(&layers[i]);
		if (layers[i].kind == LAYER_CUT)
			size = layers[i].size;
	}
	ret_frame->size = size;
}
