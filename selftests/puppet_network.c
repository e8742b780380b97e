// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "selftests/puppet.h"
#include "user/cleanup.h"

static int add_ipv4(int fd, const char *text)
{
	struct ifreq request = { .ifr_name = "lo:1" };
	struct sockaddr_in address = { .sin_family = AF_INET };
	inet_pton(AF_INET, text, &address.sin_addr);
	memcpy(&request.ifr_addr, &address, sizeof(address));
	return ioctl(fd, SIOCSIFADDR, &request) < 0 ? -errno : 0;
}

static int add_ipv6(const char *text)
{
	/* struct in6_ifreq: its header does not go with netinet/in.h. */
	struct {
		struct in6_addr address;
		uint32_t prefix;
		int ifindex;
	} request = { .prefix = 128, .ifindex = (int)if_nametoindex("lo") };
	_cleanup_(closep) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET6, text, &request.address);
	return fd < 0 || ioctl(fd, SIOCSIFADDR, &request) < 0 ? -errno : 0;
}

int puppet_network(const char *ipv4, const char *ipv6)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return -errno;
	int r = add_ipv4(fd, ipv4);
	return r < 0 ? r : add_ipv6(ipv6);
}
