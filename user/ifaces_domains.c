// SPDX-License-Identifier: Apache-2.0
/* Interfaces in other network namespaces than the sensor's own: each namespace has a number, its domain. */
#include <errno.h>
#include <string.h>
#include "user/ifaces_internal.h"

static struct domain *domain_find(const struct ifaces *ifaces, uint16_t number)
{
	struct domain *domain;
	HASH_FIND(hh, ifaces->domains, &number, sizeof(number), domain);
	return domain;
}

static bool is_same(const struct netns_id *a, const struct netns_id *b)
{
	return a->cookie || b->cookie ? a->cookie == b->cookie : a->inode == b->inode;
}

static struct domain *domain_of_netns(const struct ifaces *ifaces, const struct netns_id *netns)
{
	struct domain *domain = ifaces->domains;
	while (domain && !is_same(&domain->netns, netns))
		domain = domain->hh.next;
	return domain;
}

/* Numbers go round: before one comes again, the flows of its former namespace are long over. */
static uint16_t next_number(struct ifaces *ifaces)
{
	struct books_state *state = books_begin(ifaces->books);
	uint16_t number;
	do
		number = (uint16_t)(state->domains++ % DOMAINS_MAX + 1);
	while (domain_find(ifaces, number));
	books_commit(ifaces->books);
	return number;
}

/* NUMBER 0, or one that is another namespace's: the next one. NULL: out of memory. */
static struct domain *domain_new(struct ifaces *ifaces, const struct netns_id *netns, uint16_t number)
{
	struct domain *domain = calloc(1, sizeof(*domain));
	if (!domain)
		return NULL;
	domain->places = places_new();
	if (!domain->places) {
		free(domain);
		return NULL;
	}
	domain->netns = *netns;
	domain->number = number && !domain_find(ifaces, number) ? number : next_number(ifaces);
	HASH_ADD(hh, ifaces->domains, number, sizeof(domain->number), domain);
	return domain;
}

static void domain_free(struct ifaces *ifaces, struct domain *domain)
{
	HASH_DEL(ifaces->domains, domain);
	places_free(domain->places);
	free(domain);
}

struct places *ifaces_places(const struct ifaces *ifaces, uint16_t domain)
{
	return domain ? domain_find(ifaces, domain)->places : ifaces->places;
}

struct netns_id ifaces_netns(const struct ifaces *ifaces, uint16_t domain)
{
	return domain ? domain_find(ifaces, domain)->netns : (struct netns_id) { 0 };
}

int ifaces_know_domain(struct ifaces *ifaces, struct iface_info *info)
{
	const struct netns_id netns = { info->netns_cookie, info->netns_inode };
	if (!info->domain)
		return 0;
	struct domain *domain = domain_of_netns(ifaces, &netns);
	if (!domain)
		domain = domain_new(ifaces, &netns, info->domain);
	if (!domain)
		return -ENOMEM;
	info->domain = domain->number;
	return 0;
}

/* A visit, on the thread that is inside. */
struct inside {
	struct ifaces *ifaces;
	struct domain *domain;
	uint32_t inode;
	pid_t pid;
	bool may_attach, listed;
	struct domain_visit *visit;
};

static void on_there(const struct link_info *told, void *data)
{
	struct inside *inside = data;
	struct link_info link = *told;
	enum iface_change change;

	link.domain = inside->domain->number;
	int r = ifaces_there(inside->ifaces, &link, inside->may_attach, &change);
	if (r < 0 && r != -ENODEV && r != -EPROTONOSUPPORT && inside->visit->error == 0)
		inside->visit->error = r;
	if (r == 0 && (change == IFACE_ATTACHED || change == IFACE_TAKEN_OVER))
		inside->visit->attached++;
	if (change == IFACE_DETACHED)
		inside->visit->gone++;
}

/* The socket lives for the dump alone; a change after it is found at the next visit. */
static void on_gone(uint32_t ifindex, void *data)
{
}

static void on_dumped(void *data)
{
	struct inside *inside = data;
	inside->listed = true;
}

/* All parts of a dump are there when they are asked for, so that reading never waits. */
static int list_inside(struct inside *inside)
{
	const struct ifwatch_events events = {
		.there = on_there, .gone = on_gone, .dumped = on_dumped, .data = inside
	};
	_cleanup_(ifwatch_freep) struct ifwatch *watch = NULL;
	uint16_t number = inside->domain->number;

	int r = ifwatch_open(&events, &watch);
	if (r < 0)
		return r;
	ifaces_domain_begin(inside->ifaces, number);
	r = ifwatch_dump(watch);
	if (r == 0)
		r = ifwatch_read(watch);
	if (r < 0 || !inside->listed)
		return r < 0 ? r : -EAGAIN;
	size_t before = ifaces_attached(inside->ifaces);
	ifaces_domain_sweep(inside->ifaces, number);
	inside->visit->gone += (unsigned)(before - ifaces_attached(inside->ifaces));
	return 0;
}

/* What was attached in a namespace of which nobody can say whether it is this one is attached anew, over what may be there. */
static void doubt(struct ifaces *ifaces, const struct domain *domain)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (iface->info.domain == domain->number)
			iface->attached = false;
}

static int visit_inside(void *data)
{
	struct inside *inside = data;
	struct netns_id netns;

	int r = netns_current(&netns);
	if (r < 0)
		return r;
	inside->domain = domain_of_netns(inside->ifaces, &netns);
	if (!inside->domain && inside->ifaces->inside >= DOMAIN_SLOTS)
		return -ENOSPC;
	if (!inside->domain)
		inside->domain = domain_new(inside->ifaces, &netns, 0);
	if (!inside->domain)
		return -ENOMEM;
	if (!netns.cookie && inside->domain->pid != inside->pid)
		doubt(inside->ifaces, inside->domain);
	inside->domain->pid = inside->pid;
	inside->domain->netns = netns;
	inside->visit->domain = inside->domain->number;
	return list_inside(inside);
}

/* The inode has become another namespace's: of the former one nothing is left to be entered. */
static void leave_others(struct ifaces *ifaces, uint32_t inode, const struct domain *but)
{
	for (struct domain *domain = ifaces->domains; domain; domain = domain->hh.next)
		if (domain != but && domain->netns.inode == inode)
			domain->pid = 0;
}

int ifaces_visit(struct ifaces *ifaces, uint32_t inode, pid_t pid, bool may_attach, struct domain_visit *ret_visit)
{
	struct domain_visit visit = { 0 };
	struct inside inside = {
		.ifaces = ifaces, .inode = inode, .pid = pid, .may_attach = may_attach, .visit = &visit
	};
	int r = netns_visit(ifaces->proc_root, pid, inode, visit_inside, &inside);
	if (inside.domain)
		leave_others(ifaces, inode, inside.domain);
	*ret_visit = visit;
	return r;
}

void ifaces_leave(struct ifaces *ifaces, uint32_t inode)
{
	leave_others(ifaces, inode, NULL);
}

/* Whether a filter is still there is seen by its program, which must not be held here. */
static void release_programs(struct ifaces *ifaces, struct iface *iface)
{
	for (int direction = 0; direction < DIRECTION_MAX; direction++) {
		ifaces->departed_run_ns += program_run_ns(iface->programs[direction]);
		closep(&iface->programs[direction]);
		iface->programs[direction] = -1;
	}
	iface->attached = false;
}

/* True: no interface of DOMAIN is left. */
static bool settle(struct ifaces *ifaces, const struct domain *domain)
{
	struct iface *iface, *next;
	bool over = true;
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		if (iface->info.domain != domain->number)
			continue;
		release_programs(ifaces, iface);
		if (!iface_is_over(iface)) {
			over = false;
			continue;
		}
		if (iface->info.hook == IFACE_HOOK_TCX)
			iface_detach(ifaces, iface);
		iface_retire(ifaces, iface);
	}
	return over;
}

unsigned ifaces_settle(struct ifaces *ifaces)
{
	struct domain *domain, *next;
	unsigned gone = 0;
	HASH_ITER (hh, ifaces->domains, domain, next) {
		if (domain->pid || !settle(ifaces, domain))
			continue;
		domain_free(ifaces, domain);
		gone++;
	}
	return gone;
}

static bool has_filters(const struct ifaces *ifaces, uint16_t domain)
{
	struct iface *iface, *next;
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (iface->info.domain == domain && iface->info.hook == IFACE_HOOK_CLSACT)
			return true;
	return false;
}

static int detach_hooks(struct ifaces *ifaces, uint16_t domain, enum iface_hook hook)
{
	struct iface *iface, *next;
	int first = 0;
	HASH_ITER (by_id, ifaces->by_id, iface, next) {
		int r = iface->info.domain == domain && iface->info.hook == hook ? iface_detach(ifaces, iface) : 0;
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int detach_inside(void *data)
{
	const struct inside *inside = data;
	struct netns_id netns;

	int r = netns_current(&netns);
	if (r < 0)
		return r;
	if (!is_same(&netns, &inside->domain->netns))
		return -ESTALE;
	return detach_hooks(inside->ifaces, inside->domain->number, IFACE_HOOK_CLSACT);
}

/* Links are detached from anywhere. A namespace without a process has no traffic, and its filters end with it. */
static int domain_detach(struct ifaces *ifaces, struct domain *domain)
{
	struct inside inside = { .ifaces = ifaces, .domain = domain };
	uint32_t inode = domain->netns.inode;
	pid_t pid = domain->pid;

	int first = detach_hooks(ifaces, domain->number, IFACE_HOOK_TCX);
	if (!has_filters(ifaces, domain->number))
		return first;
	int r = pid ? 0 : netns_search(ifaces->proc_root, inode, &pid);
	if (r == 0)
		r = netns_visit(ifaces->proc_root, pid, inode, detach_inside, &inside);
	return first < 0 || r == -ESRCH || r == -ESTALE ? first : r;
}

int ifaces_domains_detach(struct ifaces *ifaces)
{
	int first = 0;
	for (struct domain *domain = ifaces->domains; domain; domain = domain->hh.next) {
		int r = domain_detach(ifaces, domain);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

void ifaces_domains_free(struct ifaces *ifaces)
{
	struct domain *domain, *next;
	HASH_ITER (hh, ifaces->domains, domain, next)
		domain_free(ifaces, domain);
}

int ifaces_withdraw(struct ifaces *ifaces)
{
	struct iface *iface, *next;
	int r = ifaces_domains_detach(ifaces);
	HASH_ITER (by_id, ifaces->by_id, iface, next)
		if (iface->info.domain)
			iface_retire(ifaces, iface);
	ifaces_domains_free(ifaces);
	return r;
}

size_t ifaces_domains(const struct ifaces *ifaces)
{
	return HASH_COUNT(ifaces->domains);
}

void ifaces_refuse(struct ifaces *ifaces, enum domain_refusal refusal)
{
	ifaces->refused[refusal]++;
}

uint64_t ifaces_refused(const struct ifaces *ifaces, enum domain_refusal refusal)
{
	return ifaces->refused[refusal];
}
