// SPDX-License-Identifier: Apache-2.0
/* Community ID v1, https://github.com/corelight/community-id-spec: one name of a flow for all tools that speak of it.
 */
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include "user/otlp.h"

#define SHA1_SIZE 20

/*
 * Does the message type have an answer, so that both directions are one flow? Without one the ports are (type, code),
 * and the ends are never exchanged.
 */
static bool icmp_has_answer(uint8_t protocol, uint16_t type)
{
	if (protocol == IPPROTO_ICMP)
		return type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);
	return (type >= 128 && type <= 131) || (type >= 133 && type <= 136) || (type >= 139 && type <= 140) ||
	       (type >= 144 && type <= 145);
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* True: the hash takes destination first. */
static bool is_reversed(const struct record *record)
{
	const struct endpoint *source = &record->source, *destination = &record->destination;
	if (is_icmp(record->protocol) && !icmp_has_answer(record->protocol, source->port))
		return false;
	int order = memcmp(source->address, destination->address, sizeof(source->address));
	return order > 0 || (order == 0 && source->port > destination->port);
}

static EVP_MD *sha1;

/* Looking the digest up costs more than using it. */
static void fetch_sha1(void)
{
	sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

void community_id(const struct record *record, char text[static 48])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	bool reversed = is_reversed(record);
	const struct endpoint *first = reversed ? &record->destination : &record->source;
	const struct endpoint *second = reversed ? &record->source : &record->destination;
	size_t skip = record->ip_version == 4 ? 12 : 0, address_size = sizeof(first->address) - skip;
	bool ports = has_ports(record->protocol) || is_icmp(record->protocol);

	text[0] = '\0';
	/* A later fragment: whose flow it is, nobody can say. */
	if (ports && !first->port && !second->port)
		return;

	/* seed (two bytes, 0), addresses, protocol, a byte of padding, ports */
	uint8_t input[2 + 16 + 16 + 1 + 1 + 4] = { 0 }, *end = input + 2;
	end = mempcpy(end, first->address + skip, address_size);
	end = mempcpy(end, second->address + skip, address_size);
	*end = record->protocol;
	end += 2;
	if (ports) {
		end = mempcpy(end, &(uint16_t) { htons(first->port) }, 2);
		end = mempcpy(end, &(uint16_t) { htons(second->port) }, 2);
	}

	uint8_t digest[SHA1_SIZE];
	pthread_once(&once, fetch_sha1);
	if (!sha1 || !EVP_Digest(input, (size_t)(end - input), digest, NULL, sha1, NULL))
		return;
	memcpy(text, "1:", 2);
	EVP_EncodeBlock((unsigned char *)text + 2, digest, sizeof(digest));
}
