// SPDX-License-Identifier: Apache-2.0
/*
 * A process is looked up by its directory in /proc, opened once: whatever is read there is of this process, or fails.
 * What was found is remembered per process and command name: threads have names of their own, exec gives another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "user/clock.h"
#include "user/process.h"

#define HASH_NONFATAL_OOM 1 /* without, uthash ends the process */
#include <uthash.h>

#define NAME_SIZE 256 /* a file's name and its end */
#define TRUST_NS \
	NS_PER_SEC /* what a process was seen to run, it still runs so much later, under the same command name */
#define DELETED " (deleted)" /* what the kernel appends to an executable that was replaced, by an upgrade */

struct process_key {
	uint32_t tgid;
	char comm[COMM_SIZE]; /* zeros behind its end */
};

/* A process ran NAME as KEY's comm, from its start until it was looked at. */
struct process {
	struct process_key key;
	uint64_t start_ns, seen_ns; /* CLOCK_MONOTONIC */
	char name[NAME_SIZE];
	UT_hash_handle hh;
};

struct processes {
	int proc_fd;           /* -1: there is no /proc */
	uint64_t made_ns;      /* CLOCK_MONOTONIC: what "before the sensor" is before */
	uint64_t ns_per_tick;  /* of process start times */
	struct process *known; /* the least recently used first */
	size_t max;
	char name[NAME_SIZE]; /* of the latest answer */
};

struct processes *processes_new(const char *proc_root, size_t max)
{
	struct processes *processes = calloc(1, sizeof(*processes));
	if (!processes)
		return NULL;
	processes->proc_fd = open(proc_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	processes->made_ns = clock_monotonic_ns();
	processes->ns_per_tick = NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	processes->max = max;
	return processes;
}

static void process_remove(struct processes *processes, struct process *process)
{
	HASH_DEL(processes->known, process);
	free(process);
}

void processes_free(struct processes *processes)
{
	if (!processes)
		return;
	while (processes->known)
		process_remove(processes, processes->known);
	closep(&processes->proc_fd);
	free(processes);
}

/* How far CLOCK_BOOTTIME is ahead: the time that the machine was suspended. Never too little, by reading it last. */
static uint64_t suspended_ns(void)
{
	struct timespec boot;
	uint64_t monotonic = clock_monotonic_ns();
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (uint64_t)boot.tv_sec * NS_PER_SEC + (uint64_t)boot.tv_nsec - monotonic;
}

/* A small file as text, without a last newline. 0 or -errno. */
static int read_text(int dir_fd, const char *path, char *text, size_t size)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return 0;
}

/*
 * CLOCK_MONOTONIC ns when the process started, rounded down to a tick: field 22 of proc_pid_stat(5), in ticks since boot,
 * suspended time included. 0 or -errno.
 */
static int read_start(const struct processes *processes, int process_fd, uint64_t *ret_start_ns)
{
	char stat[1024], *end;
	int r = read_text(process_fd, "stat", stat, sizeof(stat));
	if (r < 0)
		return r;
	/* The command name, field 2, may hold anything, but what follows it holds no parenthesis. */
	const char *field = strrchr(stat, ')');
	for (int number = 2; field && number < 22; number++)
		field = strchr(field + 1, ' ');
	if (!field)
		return -EBADMSG;
	uint64_t ticks = strtoull(field, &end, 10);
	if (end == field)
		return -EBADMSG;
	uint64_t boot_ns = ticks * processes->ns_per_tick, suspended = suspended_ns();
	*ret_start_ns = boot_ns > suspended ? boot_ns - suspended : 0;
	return 0;
}

/* The base name of what the process runs; needs the right to trace it. 0 or -errno. */
static int read_executable(int process_fd, char ret_name[static NAME_SIZE])
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(process_fd, "exe", path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	char *end = path + n - strlen(DELETED);
	if (end > path && strcmp(end, DELETED) == 0)
		*end = '\0';
	const char *slash = strrchr(path, '/');
	snprintf(ret_name, NAME_SIZE, "%.*s", NAME_SIZE - 1, slash ? slash + 1 : path);
	return 0;
}

/* Is COMM the name of the thread that the hook saw, or of the process? LEADER: the latter's. */
static bool has_comm(int process_fd, uint32_t pid, const char *comm, char leader[static NAME_SIZE])
{
	char path[64], thread[NAME_SIZE];
	if (read_text(process_fd, "comm", leader, NAME_SIZE) < 0)
		return false;
	if (strcmp(leader, comm) == 0)
		return true;
	snprintf(path, sizeof(path), "task/%" PRIu32 "/comm", pid);
	return read_text(process_fd, path, thread, sizeof(thread)) == 0 && strcmp(thread, comm) == 0;
}

/* Looks whether the process that OWNER tells of still is, and what it runs. 0 or -errno: it is not to be told. */
static int look(const struct processes *processes, const struct socket_owner *owner, struct process *process)
{
	char tgid[16], leader[NAME_SIZE];
	uint64_t until_ns = owner->since_ns ? owner->since_ns : processes->made_ns;
	snprintf(tgid, sizeof(tgid), "%" PRIu32, owner->tgid);
	_cleanup_(closep) int fd = openat(processes->proc_fd, tgid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	process->seen_ns = clock_monotonic_ns();
	int r = read_start(processes, fd, &process->start_ns);
	if (r < 0)
		return r;
	if (process->start_ns > until_ns)
		return -ESRCH; /* the number was given again */
	/* Before the command name: an exec in between shows there. */
	r = read_executable(fd, process->name);
	if (!has_comm(fd, owner->pid, process->key.comm, leader))
		return -ESRCH; /* it runs another program by now, or is no more */
	if (r < 0)
		snprintf(process->name, sizeof(process->name), "%s", leader);
	return 0;
}

/* Behind all others; one that finds no room, or no memory, is not remembered. */
static void remember(struct processes *processes, const struct process *process)
{
	struct process *known;
	HASH_FIND(hh, processes->known, &process->key, sizeof(process->key), known);
	if (known)
		process_remove(processes, known);
	if (processes->known && HASH_COUNT(processes->known) >= processes->max)
		process_remove(processes, processes->known);
	known = malloc(sizeof(*known));
	if (!known)
		return;
	*known = *process;
	HASH_ADD(hh, processes->known, key, sizeof(known->key), known);
	if (!known->hh.tbl)
		free(known);
}

/* What is remembered of the process that OWNER tells of; NULL: nothing, or it may be another one. */
static struct process *recall(struct processes *processes, const struct process_key *key,
                              const struct socket_owner *owner)
{
	struct process *known;
	uint64_t since_ns = owner->since_ns ? owner->since_ns : processes->made_ns;
	HASH_FIND(hh, processes->known, key, sizeof(*key), known);
	if (!known || known->start_ns > since_ns || since_ns > known->seen_ns + TRUST_NS)
		return NULL;
	/* To the end: it was just used. */
	HASH_DEL(processes->known, known);
	HASH_ADD(hh, processes->known, key, sizeof(known->key), known);
	if (known->hh.tbl)
		return known;
	free(known);
	return NULL;
}

/* Keeps NAME as the answer, in ASCII that can be printed: it may be any bytes, and records are UTF-8. */
static const char *answer(struct processes *processes, const char *name)
{
	snprintf(processes->name, sizeof(processes->name), "%s", name);
	for (char *byte = processes->name; *byte; byte++)
		if (*byte < ' ' || *byte > '~')
			*byte = '?';
	return processes->name;
}

const char *process_name(struct processes *processes, const struct socket_owner *owner)
{
	struct process process = { .key.tgid = owner->tgid };
	memcpy(process.key.comm, owner->comm, strnlen(owner->comm, COMM_SIZE - 1));
	if (!owner->tgid)
		return answer(processes, process.key.comm);

	const struct process *known = recall(processes, &process.key, owner);
	if (known)
		return answer(processes, known->name);
	if (look(processes, owner, &process) < 0)
		return answer(processes, process.key.comm);
	remember(processes, &process);
	return answer(processes, process.name);
}
