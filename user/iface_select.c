// SPDX-License-Identifier: Apache-2.0
/* Which interfaces are attached, of all those that there are. */
#include <errno.h>
#include <net/if_arp.h>
#include "bpf/event.h"
#include "user/ifaces_internal.h"

#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823 /* <linux/if_arp.h>, which cannot stand beside <net/if.h> */
#endif

int ifaces_select(struct ifaces *ifaces, const struct config_list *include, const struct config_list *exclude)
{
	_cleanup_(patterns_clear) struct patterns included = { 0 };
	_cleanup_(patterns_clear) struct patterns excluded = { 0 };
	int r = patterns_compile(include, &included);
	if (r < 0)
		return r;
	r = patterns_compile(exclude, &excluded);
	if (r < 0)
		return r;
	patterns_swap(&ifaces->include, &included);
	patterns_swap(&ifaces->exclude, &excluded);
	return 0;
}

bool iface_is_selected(const struct ifaces *ifaces, const struct link_info *link, bool attached)
{
	if (patterns_match(&ifaces->exclude, link->name))
		return false;
	/* The kernel's fallback tunnels, in each namespace anew, are down and stay so. */
	if (link->domain)
		return !link->elsewhere && (attached || link->flags & (IFF_LOOPBACK | IFF_UP));
	if (link->flags & IFF_LOOPBACK)
		return false;
	return ifaces->include.n == 0 || patterns_match(&ifaces->include, link->name);
}

int link_type_of(uint16_t type)
{
	switch (type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINK_ETHERNET;
	case ARPHRD_NONE: /* tun, wireguard */
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return LINK_RAW_IP;
	default:
		return -EPROTONOSUPPORT;
	}
}
