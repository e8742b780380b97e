/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership, checkable locally: every owning local is declared with _cleanup_, and the only way out of it is a TAKE.
 *
 *	_cleanup_(freep) char *path = NULL;
 *	_cleanup_(closep) int fd = -1;
 *	...
 *	*ret_fd = TAKE_FD(fd);
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)         __attribute__((cleanup(f)))
#define _printf_(text, args) __attribute__((format(printf, text, args)))
#define _unused_             __attribute__((unused))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* The pointer's value; the variable is left NULL, so that its cleanup does nothing. */
#define TAKE_PTR(pointer)                         \
	({                                        \
		typeof(pointer) *p_ = &(pointer); \
		typeof(pointer) taken_ = *p_;     \
		*p_ = NULL;                       \
		taken_;                           \
	})

/* The descriptor; the variable is left -1. */
#define TAKE_FD(fd)                \
	({                         \
		int *fd_ = &(fd);  \
		int taken_ = *fd_; \
		*fd_ = -1;         \
		taken_;            \
	})

/* Defines NAME##p, the cleanup function for an owning pointer of TYPE that FREE frees (and that takes NULL). */
#define DEFINE_CLEANUP(type, free_function)                         \
	static inline _unused_ void free_function##p(type *pointer) \
	{                                                           \
		if (*pointer)                                       \
			free_function(*pointer);                    \
	}

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}
