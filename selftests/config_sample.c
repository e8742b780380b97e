// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "selftests/config_sample.h"

static int check_path(const char *value, struct buf *error)
{
	if (*value == '/' || !*value)
		return 0;
	buf_appendf(error, "must be absolute");
	return -EINVAL;
}

static int check_word(const char *value, struct buf *error)
{
	if (!strchr(value, '!'))
		return 0;
	buf_appendf(error, "is too loud");
	return -EINVAL;
}

static void check_sample(const void *config, struct config_report *report)
{
	const struct sample *sample = config;
	if (sample->outer.deep > sample->count)
		config_conflict(report, "outer.deep", "count", "must not be more than count");
	if (sample->size == 3)
		config_conflict(report, "size", NULL, "must not be 3");
}

#define SECOND        1000000000ULL
#define KEY(m, type_) #m, CONFIG_##type_, offsetof(struct sample, m)

static const char *const modes[] = { "slow", "fast", "mad", NULL };
static const char *const actions[] = { "keep", "drop", NULL };
static const struct config_key keys[] = {
	{ KEY(on, BOOL), "false", .help = "switch" },
	{ KEY(name, STRING), "nobody", .max = 8, .help = "who" },
	{ KEY(path, STRING), "", .check = check_path, .help = "where" },
	{ KEY(count, COUNT), "10", 2, 100, .help = "how many" },
	{ KEY(any, COUNT), "0", 0, UINT64_MAX, .help = "anything" },
	{ KEY(size, BYTES), "4KiB", 1, 1ULL << 40, .help = "how large" },
	{ KEY(wait, DURATION), "1500ms", 0, 7 * 86400 * SECOND, .help = "how long" },
	{ KEY(mode, ENUM), "fast", .choices = modes, .help = "how" },
	{ KEY(words, LIST), "", .max = 16, .check = check_word, .help = "what" },
	{ KEY(rules, RULES), "", .max = 16, .check = check_word, .choices = actions, .help = "which" },
	{ KEY(outer.deep, COUNT), "5", 0, 50, .help = "below" },
};
static const char *const foreign[] = { "T_OTHER_", NULL };
const struct config_schema sample_schema = {
	.env_prefix = "T_",
	.env_ignore = foreign,
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct sample),
	.check = check_sample,
};

static void append_renamed(struct buf *out, const char *text, const char *name)
{
	for (const char *found; (found = strstr(text, name)); text = found + strlen(name)) {
		buf_append(out, text, (size_t)(found - text));
		buf_append(out, "FILE", 4);
	}
	buf_append(out, text, strlen(text));
}

int sample_load(const struct source *source, struct sample *ret_sample, enum config_source *ret_sources,
                struct buf *error)
{
	_cleanup_(closep) int fd = memfd_create("config", MFD_CLOEXEC);
	_cleanup_(buf_free) struct buf told = BUF_INIT(1 << 20);
	struct config_input input = { .sets = source->set, .environment = source->environment };
	char file[64];
	snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	if (source->yaml) {
		size_t size = source->yaml_size ? source->yaml_size : strlen(source->yaml);
		assert_int_equal(write(fd, source->yaml, size), size);
		input.file = file;
	}
	while (input.n_sets < ARRAY_SIZE(source->set) && source->set[input.n_sets])
		input.n_sets++;
	int r = config_load(&sample_schema, &input, ret_sample, ret_sources, &told);
	assert_int_equal(told.error, 0);
	append_renamed(error, buf_text(&told), file);
	return r;
}
