/* SPDX-License-Identifier: Apache-2.0 */
/* What a PEM file of certificates says of its own end. */
#pragma once

#include <stdint.h>

/* Unix time of the earliest notAfter among the certificates in the file PATH; 0: none there, or not readable. */
int64_t certificate_expiry(const char *path);
