/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node for tests of podnet: a network namespace of the test's own stands for the host's, child processes in further ones, and
 * in real cgroups, for pods. Time can be moved on (link with --wrap=clock_monotonic_ns).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "selftests/identity_fixture.h"
#include "user/podnet.h"

/* Two pods, in their names' directories, cgroups, and answers. */
#define UID_A "6f1d2c3b-4a5e-4f60-8b7c-9d0e1f2a3b4c"
#define UID_B "00000000-1111-4222-8333-444444444444"
#define ID    "3f7c1e0ab95d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246"
#define POD_A "kubepods/besteffort/pod" UID_A
#define POD_B "kubepods/besteffort/pod" UID_B
#define A     "shop/web/" UID_A
#define B     "shop/db/" UID_B

struct world {
	const struct identity_fixture *fixture;
	struct identity *identity;
	struct podnet *podnet; /* NULL before world_watch */
};

/* A new host. Skips the test where it cannot be made. */
void world_open(void **state, struct world *ret_world);
void world_close(struct world *world);
/* For cmocka, after identity_fixture_setup. */
int world_teardown(void **state);
/* Makes identity and podnet, in that order. */
void world_watch(struct world *world);
/* What the event loop does: takes in what was told. */
void world_read(struct world *world);
/* CLOCK_MONOTONIC as podnet sees it goes on by NS. */
void world_pass(uint64_t ns);
uint64_t world_now(void);

/* A process, in a network namespace of its own unless it is said. */
struct process {
	pid_t pid;
	int control;
};

enum process_netns { PROCESS_OWN, PROCESS_HOST };

struct process process_start(enum process_netns netns);
/* One more process in OTHER's namespace. */
struct process process_beside(const struct process *other);
/* It leaves the host's namespace for a new one. */
void process_unshare(struct process *process);
/* Puts it into cgroup PATH of the fixture, which is made. */
void process_enter(const struct world *world, const struct process *process, const char *path);
/* A descriptor that keeps its namespace. */
int process_netns_fd(const struct process *process);
void process_end(struct process *process);

/* Runs a program in the host's namespace, or in the process's; fails the test where that fails. */
void host_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
void process_run(const struct process *process, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The kubelet's directories of both pods. */
void make_names(const struct world *world);
/* An address of the host's own, 192.0.2.9. The kernel's configuration has veth for sure; both ends stay here. */
void make_uplink(void);
/* A veth HOST_NAME from the host to eth0 of PROCESS, with ADDRESS there; its ifindex. */
uint32_t make_veth(const struct process *process, const char *host_name, const char *address);

/* "none", "host", "pending", "ambiguous", or "namespace/pod/uid" with "-" for what is not known. */
const char *address_answer(struct world *world, const char *address, uint64_t from_ns, uint64_t until_ns);
const char *interface_answer(struct world *world, uint32_t ifindex, const char *address);
#define expect_address(world, address, from_ns, until_ns, text) \
	assert_string_equal(address_answer(world, address, from_ns, until_ns), text)
#define expect_interface(world, ifindex, address, text) \
	assert_string_equal(interface_answer(world, ifindex, address), text)
/* What is true now, as soon as podnet has been told of it, or has looked again. */
void expect_address_soon(struct world *world, const char *address, const char *text);
