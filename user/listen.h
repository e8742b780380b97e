/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

/*
 * Splits "address:port" or "[v6]:port" (port 0 allowed: any). The address is numeric: a name may mean several, or
 * change. 0 or -EINVAL, then the outputs are untouched. HOST gets at most 63 characters, without brackets.
 */
int listen_split(const char *listen, char ret_host[static 64], uint16_t *ret_port);

/* The same as a socket address. 0 or -EINVAL. */
int listen_address(const char *listen, struct sockaddr_storage *ret_address, socklen_t *ret_size);

/*
 * A non-blocking TCP socket that listens there. 0 or -errno. (libevent's own binding by name asks for AI_ADDRCONFIG, and
 * so finds no 127.0.0.1 on a host whose only addresses are IPv6 ones.)
 */
int listen_open(const char *listen, int *ret_fd);
