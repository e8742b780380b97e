/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Splits "address:port" or "[v6]:port" (port 0 allowed: any). The address is numeric: a name may mean several, or
 * change. 0 or -EINVAL, then the outputs are untouched. HOST gets at most 63 characters, without brackets.
 */
int listen_split(const char *listen, char ret_host[static 64], uint16_t *ret_port);
