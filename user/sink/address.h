/* SPDX-License-Identifier: Apache-2.0 */
/* Texts out of socket addresses. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 64

/* Host order; 0 where it is neither IPv4 nor IPv6. */
uint16_t address_port(const struct sockaddr_storage *address);

/* "10.0.0.7:41212", "[fd00::7]:41212". */
void address_text(const struct sockaddr *address, socklen_t size, char text[static ADDRESS_TEXT_MAX]);
