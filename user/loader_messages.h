/* SPDX-License-Identifier: Apache-2.0 */
/* What libbpf and the verifier said, for loader_messages(): the end of it, where the reason stands. */
#pragma once

#include <stdarg.h>
#include <bpf/libbpf.h>

#define LOADER_MESSAGES_MAX 4096 /* bytes that are kept */

/* libbpf's print function; keeps all but debug messages. */
int loader_messages_print(enum libbpf_print_level level, const char *format, va_list args);

/* Adds TEXT; the oldest goes where there is no room. */
void loader_messages_keep(const char *text);

void loader_messages_clear(void);
