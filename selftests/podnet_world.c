// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "selftests/podnet_world.h"
#include "user/clock.h"

#define PATIENCE_NS   (10 * NS_PER_SEC)
#define PROCESSES_MAX 16

uint64_t __real_clock_monotonic_ns(void);
uint64_t __wrap_clock_monotonic_ns(void);

static uint64_t passed_ns;
static pid_t running[PROCESSES_MAX];

uint64_t __wrap_clock_monotonic_ns(void)
{
	return __real_clock_monotonic_ns() + passed_ns;
}

void world_pass(uint64_t ns)
{
	passed_ns += ns;
}

uint64_t world_now(void)
{
	return clock_monotonic_ns();
}

void world_open(void **state, struct world *ret_world)
{
	const struct world world = { .fixture = identity_fixture_or_skip(state) };
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: no right to make network namespaces\n");
		skip();
	}
	host_run("ip link set lo up");
	*ret_world = world;
}

void world_watch(struct world *world)
{
	const struct identity_options options = { .cgroup_root = world->fixture->tree,
		                                  .pods_dir = world->fixture->pods,
		                                  .max_cgroups = 1024 };
	assert_int_equal(identity_open(&options, &world->identity), 0);
	assert_int_equal(podnet_open(world->identity, &world->podnet), 0);
}

void world_close(struct world *world)
{
	podnet_free(world->podnet);
	identity_free(world->identity);
}

void world_read(struct world *world)
{
	assert_int_equal(identity_read(world->identity), 0);
	assert_int_equal(podnet_read(world->podnet), 0);
}

static void note_running(pid_t old, pid_t new)
{
	for (size_t i = 0; i < ARRAY_SIZE(running); i++)
		if (running[i] == old) {
			running[i] = new;
			return;
		}
	fail_msg("more than %d processes", PROCESSES_MAX);
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	note_running(pid, 0);
}

int world_teardown(void **state)
{
	/* A test that failed left its processes, and they keep its cgroups. */
	for (size_t i = 0; i < ARRAY_SIZE(running); i++)
		if (running[i])
			end_process(running[i]);
	return identity_fixture_teardown(state);
}

/* Each byte is a request, answered by one: 'u', leave for a new network namespace; 's', nothing, so that it is known to run. */
static void serve(int control)
{
	char request;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(control, &request, 1) == 1) {
		if (request == 'u' && unshare(CLONE_NEWNET) < 0)
			_exit(1);
		if (write(control, &request, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void request(const struct process *process, char what)
{
	char answer;
	assert_int_equal(write(process->control, &what, 1), 1);
	assert_int_equal(read(process->control, &answer, 1), 1);
}

struct process process_start(enum process_netns netns)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	struct process process = { .pid = fork(), .control = ends[0] };
	assert_true(process.pid >= 0);
	if (process.pid == 0) {
		close(ends[0]);
		serve(ends[1]);
	}
	close(ends[1]);
	note_running(0, process.pid);
	request(&process, netns == PROCESS_OWN ? 'u' : 's');
	return process;
}

void process_unshare(struct process *process)
{
	request(process, 'u');
}

int process_netns_fd(const struct process *process)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)process->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

struct process process_beside(const struct process *other)
{
	int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = process_netns_fd(other);
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
	struct process process = process_start(PROCESS_HOST);
	assert_int_equal(setns(host, CLONE_NEWNET), 0);
	close(host);
	close(there);
	return process;
}

void process_enter(const struct world *world, const struct process *process, const char *path)
{
	char file[PATH_MAX];

	make_path(world->fixture->tree_fd, path);
	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	_cleanup_(closep) int fd = openat(world->fixture->tree_fd, file, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "%d\n", (int)process->pid) > 0);
}

void process_end(struct process *process)
{
	if (!process->pid)
		return;
	end_process(process->pid);
	close(process->control);
	process->pid = 0;
}

/* Words stand between single spaces; there is no shell that could see more in them. */
void host_run(const char *format, ...)
{
	char command[512], words[sizeof(command)], *word, *rest = words, *arguments[32] = { NULL };
	size_t n = 0;
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	snprintf(words, sizeof(words), "%s", command);
	while ((word = strsep(&rest, " ")) && n < ARRAY_SIZE(arguments) - 1)
		arguments[n++] = word;

	pid_t pid;
	int status;
	assert_int_equal(posix_spawnp(&pid, arguments[0], NULL, NULL, arguments, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("failed: %s", command);
}

void process_run(const struct process *process, const char *format, ...)
{
	char command[256];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	host_run("nsenter --net=/proc/%d/ns/net %s", (int)process->pid, command);
}

void make_names(const struct world *world)
{
	make_path(world->fixture->log_fd, "pods/shop_web_" UID_A);
	make_path(world->fixture->log_fd, "pods/shop_db_" UID_B);
}

void make_uplink(void)
{
	host_run("ip link add uplink type veth peer name uplink1");
	host_run("ip addr add 192.0.2.9/24 dev uplink");
}

uint32_t make_veth(const struct process *process, const char *host_name, const char *address)
{
	host_run("ip link add %s type veth peer name eth0 netns %d", host_name, (int)process->pid);
	host_run("ip link set %s up", host_name);
	process_run(process, "ip addr add %s dev eth0%s", address, strchr(address, ':') ? " nodad" : "");
	process_run(process, "ip link set eth0 up");
	uint32_t ifindex = if_nametoindex(host_name);
	assert_true(ifindex > 0);
	return ifindex;
}

static void parse_address(const char *text, uint8_t ret_address[static 16])
{
	char mapped[64];
	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	assert_int_equal(inet_pton(AF_INET6, mapped, ret_address), 1);
}

static const char *or_none(const char *name)
{
	return name ? name : "-";
}

static const char *describe(enum podnet_answer answer, struct owner *owner)
{
	static const char *const answers[] = { "none", "host", "pending", "ambiguous", "foreign" };
	static char text[512];
	const struct owner_names *names = owner_names(owner);

	assert_int_equal(owner != NULL, answer == PODNET_POD);
	if (!owner)
		return answers[answer];
	assert_null(names->container_name);
	assert_null(names->container_id);
	snprintf(text, sizeof(text), "%s/%s/%s", or_none(names->namespace_name), or_none(names->pod_name),
	         or_none(names->pod_uid));
	return text;
}

const char *address_answer(struct world *world, const char *address, uint64_t from_ns, uint64_t until_ns)
{
	_cleanup_(owner_unrefp) struct owner *owner = NULL;
	uint8_t bytes[16];
	parse_address(address, bytes);
	enum podnet_answer answer = podnet_by_address(world->podnet, bytes, from_ns, until_ns, &owner);
	return describe(answer, owner);
}

const char *interface_answer(struct world *world, uint32_t ifindex, const char *address)
{
	_cleanup_(owner_unrefp) struct owner *owner = NULL;
	uint8_t bytes[16];
	parse_address(address, bytes);
	enum podnet_answer answer = podnet_by_interface(world->podnet, ifindex, bytes, &owner);
	return describe(answer, owner);
}

void expect_address_soon(struct world *world, const char *address, const char *text)
{
	const char *answer = "";
	for (uint64_t end = world_now() + PATIENCE_NS; world_now() < end;) {
		world_read(world);
		answer = address_answer(world, address, world_now(), world_now());
		if (!strcmp(answer, text))
			return;
		struct pollfd fds[] = { { .fd = podnet_fd(world->podnet), .events = POLLIN },
			                { .fd = identity_fd(world->identity), .events = POLLIN } };
		if (poll(fds, ARRAY_SIZE(fds), 50) == 0) {
			identity_tick(world->identity);
			podnet_tick(world->podnet);
		}
	}
	fail_msg("%s: %s, not %s", address, answer, text);
}
