// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration engine on any file, flags and variables. Input: YAML; after a line of "%%", one "key=value" a line:
 * a --set flag, or, where it begins with "T_", a variable.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "user/config.h"
#include "user/listen.h"

#define LINES_MAX 16

struct sample {
	bool on;
	char *name, *listen;
	uint64_t count, size, wait;
	int mode;
	struct config_list words;
	struct {
		uint64_t deep;
	} outer;
};

static int check_listen(const char *value, struct buf *error)
{
	char host[64];
	uint16_t port;
	return listen_split(value, host, &port);
}

#define KEY(m, type) #m, CONFIG_##type, offsetof(struct sample, m)

static const char *const modes[] = { "slow", "fast", NULL };
static const struct config_key keys[] = {
	{ KEY(on, BOOL), "false" },
	{ KEY(name, STRING), "nobody", .max = 8 },
	{ KEY(listen, STRING), "127.0.0.1:1", .check = check_listen },
	{ KEY(count, COUNT), "10", 2, UINT64_MAX },
	{ KEY(size, BYTES), "4KiB", 1, UINT64_MAX },
	{ KEY(wait, DURATION), "1s", 0, UINT64_MAX },
	{ KEY(mode, ENUM), "fast", .choices = modes },
	{ KEY(words, LIST), "" },
	{ KEY(outer.deep, COUNT), "5", 0, 50 },
};
static const struct config_schema schema = {
	.env_prefix = "T_", .keys = keys, .n_keys = ARRAY_SIZE(keys), .size = sizeof(struct sample)
};

/* What was taken is printed, given again, and is the same then. */
static void check_round_trip(const struct sample *sample)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_(buf_free) struct buf set = BUF_INIT(1 << 22), error = BUF_INIT(1 << 16);
		struct sample again;
		buf_appendf(&set, "%s=", keys[i].name);
		config_format(&schema, &keys[i], sample, &set);
		const char *sets[] = { buf_text(&set) };
		struct config_input input = { .sets = sets, .n_sets = 1 };
		if (config_load(&schema, &input, &again, NULL, &error) < 0 ||
		    !config_equal(&schema, &keys[i], sample, &again))
			abort();
		config_free(&schema, &again);
	}
}

static void load(struct config_input *input)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(1 << 20);
	struct sample sample;
	int r = config_load(&schema, input, &sample, NULL, &error);
	if ((r == 0) != (error.size == 0))
		abort();
	if (r < 0)
		return;
	check_round_trip(&sample);
	config_free(&schema, &sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char file[64];
	const char *sets[LINES_MAX];
	char *environment[LINES_MAX + 1];
	size_t n_sets = 0, n_variables = 0;
	if (fd < 0) {
		fd = memfd_create("config", MFD_CLOEXEC);
		snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	}
	const uint8_t *separator = memmem(data, size, "%%\n", 3);
	size_t yaml_size = separator ? (size_t)(separator - data) : size;
	/* The input has no NUL at its end, which strndup would ask for under strict_string_checks. */
	size_t lines_size = separator ? size - yaml_size - 3 : 0;
	_cleanup_(freep) char *lines = calloc(1, lines_size + 1);
	if (lines && lines_size)
		memcpy(lines, separator + 3, lines_size);
	if (!lines || ftruncate(fd, 0) < 0 || pwrite(fd, data, yaml_size, 0) < 0)
		return 0;
	char *rest = NULL;
	for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (!strncmp(line, "T_", 2) && n_variables < LINES_MAX)
			environment[n_variables++] = line;
		else if (n_sets < LINES_MAX)
			sets[n_sets++] = line;
	}
	environment[n_variables] = NULL;
	load(&(struct config_input) { .file = file, .sets = sets, .n_sets = n_sets, .environment = environment });
	return 0;
}
