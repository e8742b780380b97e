// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "selftests/protoc.h"

/* OpenTelemetry's field numbers and types once more, so that a slip in user/otlp.proto shows. */
static const char *const opentelemetry =
	"syntax = \"proto3\";\n"
	"message Any { oneof v { string text = 1; bool b = 2; int64 int = 3; double d = 4; bytes bytes = 7; } }\n"
	"message Pair { string key = 1; Any value = 2; }\n"
	"message Resource { repeated Pair pairs = 1; }\n"
	"message Scope { string name = 1; string version = 2; repeated Pair pairs = 3; }\n"
	"message Log { fixed64 time = 1; int32 severity = 2; string severity_text = 3; Any body = 5;\n"
	"              repeated Pair pairs = 6; fixed32 flags = 8; fixed64 observed = 11; string event = 12; }\n"
	"message ScopeLogs { Scope scope = 1; repeated Log log = 2; string schema_url = 3; }\n"
	"message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; }\n"
	"message Request { repeated ResourceLogs resource_logs = 1; }\n";

static void fill_file(const char *path, const void *data, size_t size)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
}

/* A line of protoc's text, indented or not: attributes become "key=value", braces vanish, the rest stays. */
static void flatten_line(char *line, char key[static 128], struct buf *out)
{
	line += strspn(line, " ");
	line[strcspn(line, "\n")] = '\0';
	char *value = strstr(line, ": ");
	if (!value)
		return;
	if (strncmp(line, "key: ", 5) == 0) {
		snprintf(key, 128, "%.*s", (int)strlen(line + 6) - 1, line + 6);
		return;
	}
	if (*key)
		assert_int_equal(buf_appendf(out, "%s=%s\n", key, value + 2), 0);
	else
		assert_int_equal(buf_appendf(out, "%s\n", line), 0);
	*key = '\0';
}

/* Runs protoc on the file INPUT; *ret_output is where its output can be read. */
static pid_t run_protoc(const char *const *arguments, const char *input, FILE **ret_output)
{
	int fds[2];
	pid_t pid;
	posix_spawn_file_actions_t actions;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	assert_int_equal(posix_spawnp(&pid, arguments[0], &actions, NULL, (char **)arguments, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	*ret_output = fdopen(fds[0], "r");
	assert_non_null(*ret_output);
	return pid;
}

struct buf read_with_protoc(const struct buf *batch, bool raw)
{
	char directory[] = "/tmp/unit_otlp.XXXXXX", path[64], proto[64], proto_path[64], line[4096], key[128] = "";
	struct buf text = BUF_INIT(1 << 20);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/batch", directory);
	snprintf(proto, sizeof(proto), "%s/check.proto", directory);
	snprintf(proto_path, sizeof(proto_path), "--proto_path=%s", directory);
	fill_file(path, batch->data, batch->size);
	fill_file(proto, opentelemetry, strlen(opentelemetry));

	const char *const decode[] = { "protoc", "--decode=Request", proto_path, "check.proto", NULL };
	const char *const decode_raw[] = { "protoc", "--decode_raw", NULL };
	_cleanup_(fclosep) FILE *output = NULL;
	int status;
	pid_t pid = run_protoc(raw ? decode_raw : decode, path, &output);
	while (fgets(line, sizeof(line), output)) {
		if (raw)
			assert_int_equal(buf_appendf(&text, "%s", line), 0);
		else
			flatten_line(line, key, &text);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(path);
	unlink(proto);
	rmdir(directory);
	return text;
}
