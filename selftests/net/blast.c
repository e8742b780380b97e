// SPDX-License-Identifier: Apache-2.0
/*
 * A fast sender for the tests in namespaces.
 *
 *	blast udp SOURCE PORT DESTINATION PORT COUNT SIZE RATE CPU
 *	blast ring INTERFACE COUNT FRAME-IN-HEX
 *
 * udp: COUNT datagrams of SIZE bytes of one flow (0: until SIGTERM), RATE a second (0: as fast as it goes), on CPU
 * ("any": wherever). ring: COUNT frames through AF_PACKET's TX ring, which puts their headers outside the linear area.
 * Prints how many were sent.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH  64
#define FRAMES 256
#define ROOM   2048

static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
	stopped = 1;
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list;
	int r = getaddrinfo(host, port, &hints, &list);
	if (r)
		errx(1, "%s: %s", host, gai_strerror(r));
	return list;
}

/* Several senders may share the tuple: one flow from two CPUs. */
static int open_udp(char **argv)
{
	struct addrinfo *source = resolve(argv[0], argv[1]), *destination = resolve(argv[2], argv[3]);
	int on = 1, buffer = 4 << 20, fd = socket(source->ai_family, SOCK_DGRAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
	    bind(fd, source->ai_addr, source->ai_addrlen) < 0 ||
	    connect(fd, destination->ai_addr, destination->ai_addrlen) < 0)
		err(1, "socket from %s to %s", argv[0], argv[2]);
	freeaddrinfo(source);
	freeaddrinfo(destination);
	return fd;
}

static void pin(const char *cpu)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(strtoul(cpu, NULL, 10), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
		err(1, "CPU %s", cpu);
}

/* Waits for the moment at which SENT packets may have been sent at RATE. */
static void pace(const struct timespec *start, unsigned long long sent, unsigned long long rate)
{
	unsigned long long ns = sent * 1000000000ULL / rate + (unsigned long long)start->tv_nsec;
	const struct timespec due = { start->tv_sec + (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static unsigned long long send_udp(int fd, unsigned long long count, size_t size, unsigned long long rate)
{
	static char payload[65536];
	struct iovec data = { payload, size };
	struct mmsghdr messages[BATCH];
	struct timespec start;
	unsigned long long sent = 0;

	for (size_t i = 0; i < BATCH; i++)
		messages[i] = (struct mmsghdr) { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1 } };
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!stopped && (!count || sent < count)) {
		unsigned int n = count && count - sent < BATCH ? (unsigned int)(count - sent) : BATCH;
		if (rate && n > 1 + rate / 200)
			n = (unsigned int)(1 + rate / 200);
		int r = sendmmsg(fd, messages, n, 0);
		if (r > 0)
			sent += (unsigned long long)r;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			break; /* the route or the interface is gone */
		if (rate)
			pace(&start, sent, rate);
	}
	return sent;
}

static size_t parse_hex(const char *text, unsigned char *data)
{
	size_t size = 0;
	while (size < ROOM && sscanf(text + 2 * size, "%2hhx", &data[size]) == 1)
		size++;
	return size;
}

static unsigned long long send_ring(const char *interface, unsigned long long count, const char *hex)
{
	struct tpacket_req request = {
		.tp_block_size = FRAMES * ROOM, .tp_block_nr = 1, .tp_frame_size = ROOM, .tp_frame_nr = FRAMES
	};
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
		                             .sll_protocol = htons(ETH_P_IP),
		                             .sll_ifindex = (int)if_nametoindex(interface) };
	const size_t offset = TPACKET_HDRLEN - sizeof(struct sockaddr_ll);
	unsigned char frame[ROOM];
	size_t size = parse_hex(hex, frame);
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "ring on %s", interface);
	char *ring = mmap(NULL, FRAMES * ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		err(1, "mmap");

	/* A send without MSG_DONTWAIT returns when the whole ring is out. */
	for (unsigned long long sent = 0; sent < count;) {
		for (size_t i = 0; i < FRAMES && sent < count; i++, sent++) {
			volatile struct tpacket_hdr *header = (volatile struct tpacket_hdr *)(ring + i * ROOM);
			memcpy(ring + i * ROOM + offset, frame, size);
			header->tp_len = (unsigned int)size;
			header->tp_status = TP_STATUS_SEND_REQUEST;
		}
		if (send(fd, NULL, 0, 0) < 0)
			err(1, "send");
	}
	return count;
}

int main(int argc, char **argv)
{
	/* No SA_RESTART is needed: nothing here blocks for long. */
	signal(SIGTERM, on_stop);
	if (argc == 5 && strcmp(argv[1], "ring") == 0) {
		printf("%llu\n", send_ring(argv[2], strtoull(argv[3], NULL, 10), argv[4]));
	} else if (argc == 10 && strcmp(argv[1], "udp") == 0) {
		if (strcmp(argv[9], "any") != 0)
			pin(argv[9]);
		int fd = open_udp(argv + 2);
		printf("%llu\n", send_udp(fd, strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10),
		                          strtoull(argv[8], NULL, 10)));
	} else {
		errx(2,
		     "usage: blast udp SOURCE PORT DESTINATION PORT COUNT SIZE RATE CPU | ring INTERFACE COUNT FRAME");
	}
	return 0;
}
