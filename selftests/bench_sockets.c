// SPDX-License-Identifier: Apache-2.0
/*
 * What the socket hooks cost: a connection, a datagram, bulk data, with the hooks attached and without, in turns; each
 * program's own time; and the walks, per socket. All over lo, in a network namespace and a cgroup of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/config.h"
#include "sensor.skel.h"
#include "selftests/puppet.h"
#include "user/cgroup_tree.h"
#include "user/clock.h"
#include "user/log.h"
#include "user/ring.h"
#include "user/sockets.h"

#define ADDRESS     "10.77.0.1"
#define ROUNDS      9
#define CONNECTIONS 1000
#define DATAGRAMS   20000
#define CHUNKS      2000
#define CHUNK       65536
#define OPEN        2000 /* connections there are when the sockets are walked through */

struct bench {
	struct loader *loader;
	struct sockets *sockets; /* NULL: detached */
	struct ring *ring;
	uint64_t position;
	int tree, cgroup;
	char name[32];
};

static void die(const char *what)
{
	fprintf(stderr, "bench_sockets: %s: %s\n", what, strerrordesc_np(errno));
	exit(EXIT_FAILURE);
}

static int check(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static int listen_at(union address *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	*ret_address = address_of(ADDRESS, 0);
	check(bind(fd, &ret_address->any, sizeof(ret_address->ip4)), "bind");
	check(listen(fd, 128), "listen");
	check(getsockname(fd, &ret_address->any, &size), "getsockname");
	return fd;
}

static void connect_pair(int listener, const union address *address, int ret_ends[2])
{
	ret_ends[0] = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	check(connect(ret_ends[0], &address->any, sizeof(address->ip4)), "connect");
	ret_ends[1] = check(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
}

/* Of this process, with what the kernel does for it, softirqs included: what others do on the machine is not in it. */
static uint64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Each run_ function: ns per unit. A connection: made, accepted, closed at both ends. */
static double run_connections(void)
{
	union address address;
	int ends[2], listener = listen_at(&address);
	uint64_t begin = cpu_ns();
	for (int i = 0; i < CONNECTIONS; i++) {
		connect_pair(listener, &address, ends);
		close(ends[0]);
		close(ends[1]);
	}
	uint64_t end = cpu_ns();
	close(listener);
	return (double)(end - begin) / CONNECTIONS;
}

/* A socket that is made and closed. */
static double run_sockets(void)
{
	uint64_t begin = cpu_ns();
	for (int i = 0; i < CONNECTIONS; i++)
		close(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
	return (double)(cpu_ns() - begin) / CONNECTIONS;
}

/* A datagram: sent to an address, received from one. */
static double run_datagrams(void)
{
	char data[64] = "";
	union address address = address_of(ADDRESS, 0), from;
	socklen_t size = sizeof(address);
	int to = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	check(bind(to, &address.any, sizeof(address.ip4)), "bind");
	check(getsockname(to, &address.any, &size), "getsockname");

	uint64_t begin = cpu_ns();
	for (int i = 0; i < DATAGRAMS; i++) {
		size = sizeof(from);
		check((int)sendto(fd, data, sizeof(data), 0, &address.any, sizeof(address.ip4)), "sendto");
		check((int)recvfrom(to, data, sizeof(data), 0, &from.any, &size), "recvfrom");
	}
	uint64_t end = cpu_ns();
	close(to);
	close(fd);
	return (double)(end - begin) / DATAGRAMS;
}

/* 64 KiB: written, and read. */
static double run_bulk(void)
{
	static char data[CHUNK];
	union address address;
	int ends[2], listener = listen_at(&address);
	connect_pair(listener, &address, ends);

	uint64_t begin = cpu_ns();
	for (int i = 0; i < CHUNKS; i++) {
		check((int)send(ends[0], data, CHUNK, 0), "send");
		check((int)recv(ends[1], data, CHUNK, MSG_WAITALL), "recv");
	}
	uint64_t end = cpu_ns();
	close(ends[0]);
	close(ends[1]);
	close(listener);
	return (double)(end - begin) / CHUNKS;
}

static void skip_record(const void *record, size_t size, void *data)
{
}

static void attach(struct bench *bench)
{
	errno = -sockets_attach(bench->loader, bench->cgroup, &bench->sockets);
	if (errno)
		die("attach");
}

static void detach(struct bench *bench)
{
	sockets_detach(bench->sockets);
	sockets_free(bench->sockets);
	bench->sockets = NULL;
	while (ring_read(bench->ring, &bench->position, SIZE_MAX, skip_record, NULL))
		ring_release(bench->ring, bench->position);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double values[static ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static void compare(struct bench *bench, const char *unit, double (*run)(void))
{
	double without[ROUNDS], with[ROUNDS], cost[ROUNDS];

	run();
	for (int i = 0; i < ROUNDS; i++) {
		without[i] = run();
		attach(bench);
		with[i] = run();
		detach(bench);
		cost[i] = with[i] - without[i];
	}
	double a = median(without), b = median(with);
	printf("%-32s %10.0f %10.0f %10.0f %8.1f %%\n", unit, a, b, median(cost), (b - a) / a * 100);
}

/* Measuring costs some 20 ns a run by itself. */
static void print_programs(const struct bench *bench)
{
	struct bpf_program *program;

	printf("\n%-32s %10s %10s\n", "program", "runs", "ns a run");
	bpf_object__for_each_program(program, bench->loader->skeleton->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);
		if (bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS ||
		    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) < 0 || !info.run_cnt)
			continue;
		printf("%-32s %10llu %10.0f\n", bpf_program__name(program), info.run_cnt,
		       (double)info.run_time_ns / (double)info.run_cnt);
	}
}

static void time_programs(struct bench *bench)
{
	_cleanup_(closep) int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0)
		return;
	attach(bench);
	run_connections();
	run_datagrams();
	run_bulk();
	print_programs(bench);
	detach(bench);
}

static void time_walks(struct bench *bench)
{
	static int ends[OPEN][2];
	union address address;
	int listener = listen_at(&address);
	double refresh[ROUNDS];

	for (int i = 0; i < OPEN; i++)
		connect_pair(listener, &address, ends[i]);
	uint64_t begin = clock_monotonic_ns();
	attach(bench);
	uint64_t end = clock_monotonic_ns();
	int64_t found = sockets_found(bench->sockets);
	printf("\nattached, and %" PRId64 " sockets found: %" PRIu64 " us\n", found, (end - begin) / 1000);
	for (int i = 0; i < ROUNDS; i++) {
		begin = clock_monotonic_ns();
		sockets_refresh(bench->sockets);
		refresh[i] = (double)(clock_monotonic_ns() - begin);
	}
	if (found > 0)
		printf("health read of all: %.0f us, %.0f ns a socket\n", median(refresh) / 1000,
		       median(refresh) / (double)found);
	for (int i = 0; i < OPEN; i++) {
		close(ends[i][0]);
		close(ends[i][1]);
	}
	close(listener);
	detach(bench);
}

static void enter_cgroup(struct bench *bench)
{
	errno = -cgroup_tree_open("/sys/fs/cgroup", &bench->tree);
	if (errno)
		die("cgroup v2");
	snprintf(bench->name, sizeof(bench->name), "sonde-bench-%d", getpid());
	check(mkdirat(bench->tree, bench->name, 0755), "mkdir");
	bench->cgroup = check(openat(bench->tree, bench->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open");
	_cleanup_(closep) int procs = openat(bench->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	check((int)write(procs, "0", 1), "cgroup.procs");
}

static void leave_cgroup(struct bench *bench)
{
	_cleanup_(closep) int procs = openat(bench->tree, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	check((int)write(procs, "0", 1), "cgroup.procs");
	close(bench->cgroup);
	check(unlinkat(bench->tree, bench->name, AT_REMOVEDIR), "rmdir");
	close(bench->tree);
}

int main(void)
{
	const struct loader_options options = {
		.flows_max = 65536,
		.ring_bytes = 16 << 20,
		.config = { .idle_timeout_ns = 15 * NS_PER_SEC, .wake_bytes = 2 << 20, .sockets = 1 },
	};
	const struct rlimit files = { 3 * OPEN, 3 * OPEN };
	struct bench bench = { 0 };

	check(setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
	enter_cgroup(&bench);
	errno = -puppet_network(ADDRESS, "fd00:77::1");
	if (!errno)
		errno = -loader_open(&options, &bench.loader);
	if (!errno)
		errno = -ring_open(bench.loader->maps.ring, bench.loader->maps.ring_bytes, &bench.ring);
	if (errno)
		die("start");
	printf("%-32s %10s %10s %10s %10s\n", "ns of CPU time, medians of 9", "without", "with", "cost", "");
	compare(&bench, "connection (both ends)", run_connections);
	compare(&bench, "socket", run_sockets);
	compare(&bench, "datagram (unconnected, both ends)", run_datagrams);
	compare(&bench, "64 KiB of TCP", run_bulk);
	time_programs(&bench);
	time_walks(&bench);
	ring_free(bench.ring);
	loader_free(bench.loader);
	leave_cgroup(&bench);
	return EXIT_SUCCESS;
}
