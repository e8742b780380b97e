// SPDX-License-Identifier: Apache-2.0
/*
 * What the identity index costs on a node with 250 pods of 3 containers, and how soon it knows a new cgroup: real cgroups and
 * directories, made by another process as the kubelet and its runtime would. Prints; asserts nothing about time.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "selftests/identity_fixture.h"
#include "user/clock.h"
#include "user/identity.h"

#define PODS          250
#define CONTAINERS    3
#define CGROUPS_MAX   16384 /* as the sensor's */
#define TICK_MS       250
#define PER_MINUTE    10000
#define SECONDS       10
#define PACED_PODS    (PER_MINUTE / 60 * SECONDS / CGROUPS_A_POD)
#define FAST_PODS     5000
#define CGROUPS_A_POD 3 /* of those that come and go: the pod's, its sandbox, a container */

/* When the containers' cgroups and links were made, and known. CLOCK_MONOTONIC, ns. Shared by both processes. */
struct times {
	unsigned first; /* pod */
	struct time {
		uint64_t made, linked; /* by the other process */
		uint64_t known, named;
	} pods[FAST_PODS];
};

static void wait_ns(uint64_t ns)
{
	poll(NULL, 0, (int)(ns / NS_PER_MS));
}

static void make_pod_dir(const struct identity_fixture *fixture, unsigned pod)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "pods/shop_web-%u_00000000-0000-4000-8000-%012u", pod, pod);
	assert_int_equal(mkdirat(fixture->log_fd, path, 0755), 0);
}

static void container_path(unsigned pod, unsigned container, char ret_path[static PATH_MAX])
{
	snprintf(ret_path, PATH_MAX, "kubepods/besteffort/pod00000000-0000-4000-8000-%012u/%012u%052u", pod,
	         pod * 8 + container, 0);
}

static void make_link(const struct identity_fixture *fixture, unsigned pod, unsigned container)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "containers/web-%u_shop_c%u-%012u%052u.log", pod, container, pod * 8 + container,
	         0);
	assert_int_equal(symlinkat("/var/log/pods/anywhere/0.log", fixture->log_fd, path), 0);
}

/* Container 0 is the sandbox: it has no link. */
static void make_node(const struct identity_fixture *fixture)
{
	make_path(fixture->log_fd, "containers");
	for (unsigned pod = 0; pod < PODS; pod++) {
		make_pod_dir(fixture, pod);
		for (unsigned container = 0; container <= CONTAINERS; container++) {
			char path[PATH_MAX];
			container_path(pod, container, path);
			make_path(fixture->tree_fd, path);
			if (container > 0)
				make_link(fixture, pod, container);
		}
	}
}

/* A pod of one container, that lives for a moment: until its link is there and KEEP_NS are over. */
static void live(const struct identity_fixture *fixture, unsigned pod, struct time *time, uint64_t keep_ns)
{
	char path[PATH_MAX];

	make_pod_dir(fixture, pod);
	container_path(pod, 0, path);
	make_path(fixture->tree_fd, path);
	container_path(pod, 1, path);
	time->made = clock_monotonic_ns();
	make_path(fixture->tree_fd, path);
	time->linked = clock_monotonic_ns();
	make_link(fixture, pod, 1);
	wait_ns(keep_ns);
	assert_int_equal(unlinkat(fixture->tree_fd, path, AT_REMOVEDIR), 0);
	container_path(pod, 0, path);
	assert_int_equal(unlinkat(fixture->tree_fd, path, AT_REMOVEDIR), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(unlinkat(fixture->tree_fd, path, AT_REMOVEDIR), 0);
}

/* Notes when a container of a short life was first told of, and when its name was. DATA: struct times. */
static void on_cgroup(const struct identity_cgroup *cgroup, void *data)
{
	struct times *times = data;
	if (cgroup->gone || !cgroup->parsed || !cgroup->parsed->container_id[0])
		return;
	char number[13];
	snprintf(number, sizeof(number), "%.12s", cgroup->parsed->container_id); /* as container_path made it */
	unsigned container = (unsigned)strtoul(number, NULL, 10);
	if (container % 8 != 1)
		return;
	unsigned pod = container / 8 - times->first;
	if (container / 8 < times->first || pod >= FAST_PODS)
		return;
	struct time *time = &times->pods[pod];
	uint64_t now = clock_monotonic_ns();
	if (!time->known)
		time->known = now;
	if (!time->named && cgroup->names->container_name)
		time->named = now;
}

static uint64_t cpu_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

static size_t rss_kib(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/statm", "re");
	char line[128];
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	const char *resident = strchr(line, ' '); /* behind the whole size; both in pages */
	assert_non_null(resident);
	return strtoul(resident, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static double microseconds(uint64_t ns)
{
	return (double)ns / 1e3;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Of the times between two moments, in µs. */
static void print_times(const char *what, const struct times *times, unsigned pods, size_t from, size_t to)
{
	static uint64_t ns[FAST_PODS];
	size_t n = 0;
	for (unsigned i = 0; i < pods; i++) {
		const char *time = (const char *)&times->pods[i];
		uint64_t begin, end;
		memcpy(&begin, time + from, sizeof(begin));
		memcpy(&end, time + to, sizeof(end));
		if (end)
			ns[n++] = end > begin ? end - begin : 0;
	}
	qsort(ns, n, sizeof(ns[0]), compare);
	printf("  %-42s %8.0f µs median %8.0f µs p99 (%zu of %u)\n", what, n ? microseconds(ns[n / 2]) : 0,
	       n ? microseconds(ns[n * 99 / 100]) : 0, n, pods);
}

static pid_t start_pods(const struct identity_fixture *fixture, struct times *times, unsigned n, bool paced)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	uint64_t start = clock_monotonic_ns(), step = 60 * NS_PER_SEC / PER_MINUTE * CGROUPS_A_POD;
	for (unsigned i = 0; i < n; i++) {
		uint64_t due = start + i * step, now = clock_monotonic_ns();
		if (paced && due > now)
			wait_ns(due - now);
		live(fixture, times->first + i, &times->pods[i], paced ? 5 * NS_PER_MS : 0);
	}
	_exit(0);
}

/* As the sensor's event loop does, until CHILD is through. */
static void follow(struct identity *identity, pid_t child)
{
	struct pollfd event = { .fd = identity_fd(identity), .events = POLLIN };
	uint64_t tick_ns = clock_monotonic_ns();
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		poll(&event, 1, TICK_MS);
		identity_read(identity);
		if (clock_monotonic_ns() >= tick_ns) {
			identity_tick(identity);
			tick_ns += TICK_MS * NS_PER_MS;
		}
	}
	assert_int_equal(status, 0);
	identity_read(identity);
}

static void run(const struct identity_fixture *fixture, struct identity *identity, struct times *times, bool paced)
{
	unsigned n = paced ? PACED_PODS : FAST_PODS;
	memset(times, 0, sizeof(*times));
	times->first = paced ? PODS : PODS + PACED_PODS;
	uint64_t start = clock_monotonic_ns(), cpu = cpu_ns();
	follow(identity, start_pods(fixture, times, n, paced));
	double seconds = (double)(clock_monotonic_ns() - start) / 1e9, busy = (double)(cpu_ns() - cpu) / 1e9;

	printf("%s, %.0f cgroups a minute for %.1f s:\n", paced ? "paced" : "as fast as they are made",
	       n * CGROUPS_A_POD / seconds * 60, seconds);
	printf("  %-42s %8.2f %%, %.1f µs a cgroup made and removed\n", "CPU", busy / seconds * 100,
	       busy * 1e6 / (n * CGROUPS_A_POD));
	print_times("mkdir to cgroup known", times, n, offsetof(struct time, made), offsetof(struct time, known));
	print_times("symlink to container named", times, n, offsetof(struct time, linked),
	            offsetof(struct time, named));
}

static void bench(void **state)
{
	const struct identity_fixture *fixture = identity_fixture_or_skip(state);
	const struct identity_options options = { fixture->tree, fixture->pods, CGROUPS_MAX };
	_cleanup_(identity_freep) struct identity *identity = NULL;
	struct times *times = mmap(NULL, sizeof(*times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(times, MAP_FAILED);
	memset(times, 0, sizeof(*times));

	make_node(fixture);
	size_t before = rss_kib();
	uint64_t cpu = cpu_ns();
	assert_int_equal(identity_open(&options, &identity), 0);
	printf("%d pods of %d containers: read in %.1f ms, %zu KiB\n", PODS, CONTAINERS, (double)(cpu_ns() - cpu) / 1e6,
	       rss_kib() - before);
	assert_int_equal(identity_subscribe(identity, on_cgroup, times), 0);

	run(fixture, identity, times, true);
	run(fixture, identity, times, false);
	printf("full (%d cgroups): %zu KiB; the tree was read again %" PRIu64 " times\n", CGROUPS_MAX,
	       rss_kib() - before, identity_rereads(identity));
	munmap(times, sizeof(*times));
}

int main(void)
{
	const struct CMUnitTest benches[] = { cmocka_unit_test_setup_teardown(bench, identity_fixture_setup,
		                                                              identity_fixture_teardown) };
	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests_name("identity", benches, NULL, NULL);
}
