// SPDX-License-Identifier: Apache-2.0
/* What processes run: real ones, that exec, rename themselves and end; and a /proc of our own for what one may not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "user/clock.h"
#include "user/process.h"

#define TOOL      "a-tool-with-a-long-name"
#define TOOL_COMM "a-tool-with-a-l" /* as the kernel cuts it */
#define MAX       64

struct fixture {
	char dir[32], tool[64];
	struct processes *processes;
};

/* An executable of our own, under a name that is longer than a command name. */
static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct stat status;
	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/unit_process.XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->tool, sizeof(fixture->tool), "%s/" TOOL, fixture->dir);
	_cleanup_(closep) int from = open("/bin/cat", O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int to = open(fixture->tool, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(fstat(from, &status), 0);
	assert_int_equal(sendfile(to, from, NULL, (size_t)status.st_size), status.st_size);
	fixture->processes = processes_new("/proc", MAX);
	*state = fixture;
	return fixture->processes ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	processes_free(fixture->processes);
	unlink(fixture->tool);
	rmdir(fixture->dir);
	free(fixture);
	return 0;
}

struct child {
	pid_t pid;
	int input; /* it ends when this is closed */
};

/* A process called "first" that runs the tool, by the time that this returns. */
static struct child start(const struct fixture *fixture)
{
	int input[2], executed[2];
	char byte;
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(executed, O_CLOEXEC), 0);
	struct child child = { fork(), input[1] };
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		prctl(PR_SET_NAME, "first");
		dup2(input[0], STDIN_FILENO);
		execl(fixture->tool, fixture->tool, NULL);
		_exit(1);
	}
	close(input[0]);
	close(executed[1]);
	/* Ends with exec, which closes the other side. */
	assert_int_equal(read(executed[0], &byte, 1), 0);
	close(executed[0]);
	return child;
}

static void end(struct child *child)
{
	close(child->input);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

/* As a hook would see it now. */
static struct socket_owner seen(pid_t tgid, const char *comm)
{
	struct socket_owner owner = { .since_ns = clock_monotonic_ns(), .tgid = (uint32_t)tgid, .pid = (uint32_t)tgid };
	snprintf(owner.comm, sizeof(owner.comm), "%s", comm);
	return owner;
}

static void test_runs(void **state)
{
	struct fixture *fixture = *state;
	struct child child = start(fixture);
	struct socket_owner owner = seen(child.pid, TOOL_COMM);
	assert_string_equal(process_name(fixture->processes, &owner), TOOL);
	/* Another socket of it. */
	owner = seen(child.pid, TOOL_COMM);
	assert_string_equal(process_name(fixture->processes, &owner), TOOL);
	end(&child);
}

/* What was found holds for what was seen before it; of what is seen later, only the hook's word is left. */
static void test_gone(void **state)
{
	struct fixture *fixture = *state;
	struct child child = start(fixture), other = start(fixture);
	struct socket_owner known = seen(child.pid, TOOL_COMM), unknown = seen(other.pid, TOOL_COMM);
	assert_string_equal(process_name(fixture->processes, &known), TOOL);
	end(&child);
	end(&other);
	assert_string_equal(process_name(fixture->processes, &known), TOOL);
	assert_string_equal(process_name(fixture->processes, &unknown), TOOL_COMM);
	known.since_ns += 60 * NS_PER_SEC;
	assert_string_equal(process_name(fixture->processes, &known), TOOL_COMM);
}

/* An upgrade replaces the file under the running process. */
static void test_deleted(void **state)
{
	struct fixture *fixture = *state;
	struct child child = start(fixture);
	struct socket_owner owner = seen(child.pid, TOOL_COMM);
	unlink(fixture->tool);
	assert_string_equal(process_name(fixture->processes, &owner), TOOL);
	end(&child);
}

/* It was seen under the name that it had before exec. */
static void test_runs_another_program(void **state)
{
	struct fixture *fixture = *state;
	struct child child = start(fixture);
	struct socket_owner owner = seen(child.pid, "first");
	assert_string_equal(process_name(fixture->processes, &owner), "first");
	end(&child);
}

/* The number is another process's now, which began after the hook saw the one before. */
static void test_number_given_again(void **state)
{
	struct fixture *fixture = *state;
	struct socket_owner owner = seen(0, TOOL_COMM);
	struct child child = start(fixture);
	owner.tgid = owner.pid = (uint32_t)child.pid;
	owner.since_ns -= NS_PER_SEC;
	assert_string_equal(process_name(fixture->processes, &owner), TOOL_COMM);
	/* And after it is known. */
	struct socket_owner later = seen(child.pid, TOOL_COMM);
	assert_string_equal(process_name(fixture->processes, &later), TOOL);
	assert_string_equal(process_name(fixture->processes, &owner), TOOL_COMM);
	end(&child);
}

static void *rename_and_wait(void *data)
{
	const int *ready = data;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	prctl(PR_SET_NAME, "worker-1");
	if (write(*ready, &tid, sizeof(tid)) == sizeof(tid))
		pause();
	return NULL;
}

/* A thread has a name of its own; that of any other process does not count. */
static void test_thread(void **state)
{
	struct fixture *fixture = *state;
	char self[PATH_MAX];
	pid_t tid;
	int ready[2];
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t thread;
		pthread_create(&thread, NULL, rename_and_wait, &ready[1]);
		pause();
	}
	assert_int_equal(read(ready[0], &tid, sizeof(tid)), sizeof(tid));
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(n > 0);
	self[n] = '\0';

	struct socket_owner owner = seen(pid, "worker-1"), other = seen(pid, "worker-2");
	owner.pid = other.pid = (uint32_t)tid;
	assert_string_equal(process_name(fixture->processes, &owner), strrchr(self, '/') + 1);
	assert_string_equal(process_name(fixture->processes, &other), "worker-2");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

/* Sockets that were there before the sensor: their processes were, too. */
static void test_before_the_sensor(void **state)
{
	struct fixture *fixture = *state;
	struct child child = start(fixture);
	struct socket_owner owner = seen(child.pid, TOOL_COMM);
	owner.since_ns = 0;
	_cleanup_(processes_freep) struct processes *later = processes_new("/proc", MAX);
	assert_string_equal(process_name(later, &owner), TOOL);
	end(&child);
}

/* Whatever is forgotten is found again. */
static void test_bound(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(processes_freep) struct processes *small = processes_new("/proc", 2);
	struct child children[3];
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		children[i] = start(fixture);
	for (size_t i = 0; i < 3 * ARRAY_SIZE(children); i++) {
		struct socket_owner owner = seen(children[i % ARRAY_SIZE(children)].pid, TOOL_COMM);
		assert_string_equal(process_name(small, &owner), TOOL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		end(&children[i]);
}

static void put_file(const char *dir, const char *name, const char *content)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
}

static void remove_files(const char *dir)
{
	static const char *const paths[] = { "4711/task/4712/comm", "4711/comm", "4711/stat" }, *const dirs[] = {
		"4711/task/4712", "4711/task", "4711", ""
	};
	char path[128];
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, paths[i]);
		unlink(path);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
		rmdir(path);
	}
}

/* Without the right to read exe, the process's own name is the best one, also where a thread was seen. */
static void test_no_access(void **state)
{
	static const char *const dirs[] = { "4711", "4711/task", "4711/task/4712" };
	char dir[] = "/tmp/unit_process.XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	/* It started at tick 7; its name makes reading hard. */
	put_file(dir, "4711/stat", "4711 (ja) va 1 (2) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 7 19 20\n");
	put_file(dir, "4711/comm", "ja) va 1 (2\n");
	put_file(dir, "4711/task/4712/comm", "http-nio-8080-e\n");

	_cleanup_(processes_freep) struct processes *processes = processes_new(dir, MAX);
	struct socket_owner owner = seen(4711, "http-nio-8080-e");
	owner.pid = 4712;
	assert_string_equal(process_name(processes, &owner), "ja) va 1 (2");

	/* A process that began after the hook saw one, and one that cannot be read. */
	put_file(dir, "4711/stat", "4711 (java) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99999999999 19 20\n");
	put_file(dir, "4711/task/4712/comm", "http-nio-8080-x\n");
	owner = seen(4711, "http-nio-8080-x");
	owner.pid = 4712;
	assert_string_equal(process_name(processes, &owner), "http-nio-8080-x");
	put_file(dir, "4711/stat", "4711 (java) S 1 2 3");
	assert_string_equal(process_name(processes, &owner), "http-nio-8080-x");
	remove_files(dir);
}

static void test_only_the_hook(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_(processes_freep) struct processes *nowhere = processes_new("/nonexistent", MAX);
	struct socket_owner owner = seen(getpid(), "curl");
	assert_string_equal(process_name(nowhere, &owner), "curl");
	owner = seen(0, "");
	assert_string_equal(process_name(fixture->processes, &owner), "");
	owner = seen(0, "caf\xc3\xa9\n");
	assert_string_equal(process_name(fixture->processes, &owner), "caf???");
	/* As long as it can be, without an end. */
	memset(owner.comm, 'x', sizeof(owner.comm));
	assert_string_equal(process_name(fixture->processes, &owner), "xxxxxxxxxxxxxxx");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_runs),
		TEST(test_gone),
		TEST(test_deleted),
		TEST(test_runs_another_program),
		TEST(test_number_given_again),
		TEST(test_thread),
		TEST(test_before_the_sensor),
		TEST(test_bound),
		cmocka_unit_test(test_no_access),
		TEST(test_only_the_hook),
	};
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
