/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses out of texts, and texts out of them. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 64

/* "0.0.0.0:4318", "[::]:4318"; 0 or -EINVAL. */
int address_parse(const char *listen, struct sockaddr_storage *ret_address, socklen_t *ret_size);

/* Host order; 0 where it is neither IPv4 nor IPv6. */
uint16_t address_port(const struct sockaddr_storage *address);

/* "10.0.0.7:41212", "[fd00::7]:41212". */
void address_text(const struct sockaddr *address, socklen_t size, char text[static ADDRESS_TEXT_MAX]);
