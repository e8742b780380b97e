/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log lines on stderr, logfmt or JSON. Libraries return errors; only top-level code logs, once, and the
 * message says what happens next (", ignoring", ", retrying in 4 s").
 *
 *	log_warn("backend refused the batch, dropping it", "url", url, "status", "400");
 *
 * gives  time=2026-01-02T03:04:05.678Z level=warn msg="backend refused the batch, dropping it" url=https://... status=400
 */
#pragma once

#include <errno.h>
#include <string.h>
#include "user/cleanup.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

/* Process-wide; safe to call again at any time. Lines are written with one write(2) each, from any thread. */
void log_setup(enum log_level level, enum log_format format);
enum log_level log_level_get(void);

/*
 * One line: MESSAGE, then pairs of (const char *key, const char *value), ended by NULL. A NULL value leaves its pair
 * out. Values are escaped; a line is cut at 4 KiB.
 */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__, NULL)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__, NULL)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__, NULL)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__, NULL)

/* A formatted value, living in the caller's block: log_info("attached", "ifindex", LOG_FMT("%d", ifindex)). */
#define LOG_FMT(...) log_text((char[256]) { 0 }, 256, __VA_ARGS__)
const char *log_text(char *space, size_t size, const char *format, ...) _printf_(3, 4);

/* The text of a -errno, thread-safe: "No such file or directory". */
#define LOG_ERRNO(error) strerrordesc_np(-(error))
