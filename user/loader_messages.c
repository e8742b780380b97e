// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include "user/cleanup.h"
#include "user/loader.h"
#include "user/loader_messages.h"

static char messages[LOADER_MESSAGES_MAX];

void loader_messages_keep(const char *text)
{
	size_t used = strlen(messages), size = strlen(text), room = sizeof(messages) - 1;
	if (size > room) {
		text += size - room;
		size = room;
	}
	if (used + size > room) {
		size_t excess = used + size - room;
		memmove(messages, messages + excess, used - excess);
		used -= excess;
	}
	memcpy(messages + used, text, size + 1);
}

int loader_messages_print(enum libbpf_print_level level, const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	if (level != LIBBPF_DEBUG && vasprintf(&text, format, args) > 0)
		loader_messages_keep(text);
	return 0;
}

void loader_messages_clear(void)
{
	messages[0] = '\0';
}

const char *loader_messages(void)
{
	return messages;
}
