// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include "user/clock.h"
#include "user/pod_list.h"
#include "user/pod_list_get.h"
#include "user/pod_snapshot.h"

#define GONE_NS  (600 * NS_PER_SEC) /* how long a pod is known that no list has any more */
#define RETRY_NS (30 * NS_PER_SEC)  /* at most, after a failure */

struct pod_list {
	struct pod_list_options options; /* with texts of its own */
	struct pod_list_get *get;        /* the thread's, once it runs */
	pthread_t thread;
	int stop_fd;

	pthread_mutex_t lock;          /* for all below */
	struct pod_snapshot *snapshot; /* NULL: none yet. Never changed, but replaced */
	struct pod_list_status status;
};

static void report(struct pod_list *list, const char *error)
{
	pthread_mutex_lock(&list->lock);
	list->status.up = false;
	list->status.failures++;
	snprintf(list->status.last_error, sizeof(list->status.last_error), "%s", error);
	pthread_mutex_unlock(&list->lock);
}

static void replace(struct pod_list *list, struct pod_snapshot *snapshot, uint64_t now)
{
	pthread_mutex_lock(&list->lock);
	struct pod_snapshot *old = list->snapshot;
	list->snapshot = snapshot;
	list->status = (struct pod_list_status) {
		.up = true,
		.refreshes = list->status.refreshes + 1,
		.failures = list->status.failures,
		.listed_ns = now,
		.pods = snapshot->pods,
		.labels_left_out = snapshot->labels_left_out,
	};
	pthread_mutex_unlock(&list->lock);
	pod_snapshot_free(old);
}

/* Gets a list and puts it in the place of the old one. 0; -ECANCELED: to stop; -errno: reported. */
static int refresh(struct pod_list *list)
{
	char error[256] = "out of memory: raise the memory limit";
	uint64_t now = clock_monotonic_ns();
	_cleanup_(buf_free) struct buf body = BUF_INIT(list->options.bytes_max);
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *parsed = NULL, *merged = NULL;
	int r = pod_list_get(list->get, list->stop_fd, &body, error);
	if (r == -ECANCELED)
		return r;
	if (r == 0)
		r = pod_snapshot_parse(buf_text(&body), body.size, now, error, &parsed);
	/* The old one is read without the lock: nobody but this thread replaces it. */
	if (r == 0)
		r = pod_snapshot_merge(parsed, list->snapshot, now > GONE_NS ? now - GONE_NS : 0, &merged);
	if (r < 0)
		report(list, error);
	else
		replace(list, TAKE_PTR(merged), now);
	return r;
}

/* INTERVAL_NS, give or take a tenth. */
static uint64_t spread(uint64_t interval_ns)
{
	uint64_t random = 0, span = interval_ns / 5;
	/* Without randomness the wait is a right one, too. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return interval_ns;
	return interval_ns - span / 2 + random % (span + 1);
}

/* True: that long; false: the thread is to end. */
static bool wait_for(const struct pod_list *list, uint64_t wait_ns)
{
	struct pollfd stop = { .fd = list->stop_fd, .events = POLLIN };
	const struct timespec timeout = { (time_t)(wait_ns / NS_PER_SEC), (long)(wait_ns % NS_PER_SEC) };
	return ppoll(&stop, 1, &timeout, NULL) == 0;
}

static void *run(void *data)
{
	struct pod_list *list = data;
	uint64_t interval = list->options.interval_ns;
	uint64_t retry = interval < RETRY_NS ? interval : RETRY_NS;
	pthread_setname_np(pthread_self(), "pods");
	for (;;) {
		int r = refresh(list);
		if (r == -ECANCELED || !wait_for(list, spread(r < 0 ? retry : interval)))
			return NULL;
	}
}

static int copy_options(struct pod_list_options *options)
{
	const char **texts[] = { &options->url, &options->ca, &options->token_file, &options->version };
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*texts[i] = strdup(*texts[i]);
		if (!*texts[i])
			r = -ENOMEM;
	}
	return r;
}

static void pod_list_free(struct pod_list *list)
{
	pod_list_get_free(list->get);
	pod_snapshot_free(list->snapshot);
	pthread_mutex_destroy(&list->lock);
	if (list->stop_fd >= 0)
		close(list->stop_fd);
	free((char *)list->options.url);
	free((char *)list->options.ca);
	free((char *)list->options.token_file);
	free((char *)list->options.version);
	free(list);
	curl_global_cleanup();
}
DEFINE_CLEANUP(struct pod_list *, pod_list_free)

int pod_list_start(const struct pod_list_options *options, struct pod_list **ret_list)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	_cleanup_(pod_list_freep) struct pod_list *list = calloc(1, sizeof(*list));
	if (!list) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	pthread_mutex_init(&list->lock, NULL);
	list->options = *options;
	list->stop_fd = eventfd(0, EFD_CLOEXEC);
	int r = list->stop_fd < 0 ? -errno : 0;
	int copied = copy_options(&list->options);
	if (r == 0)
		r = copied;
	if (r == 0)
		r = pod_list_get_new(&list->options, &list->get);
	if (r < 0)
		return r;

	/* Signals are the main thread's; and OpenSSL writes to sockets that may be closed: no SIGPIPE here. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&list->thread, NULL, run, list);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	*ret_list = TAKE_PTR(list);
	return 0;
}

void pod_list_stop(struct pod_list *list)
{
	if (!list)
		return;
	(void)eventfd_write(list->stop_fd, 1);
	pthread_join(list->thread, NULL);
	pod_list_free(list);
}

struct pod_facts *pod_list_find(struct pod_list *list, const char *pod_uid)
{
	struct pod_key key;
	if (!list || !pod_uid || pod_key_parse(pod_uid, &key) < 0)
		return NULL;
	pthread_mutex_lock(&list->lock);
	struct pod_facts *facts = list->snapshot ? pod_facts_ref(pod_snapshot_find(list->snapshot, &key)) : NULL;
	pthread_mutex_unlock(&list->lock);
	return facts;
}

void pod_list_status(struct pod_list *list, struct pod_list_status *ret_status)
{
	pthread_mutex_lock(&list->lock);
	*ret_status = list->status;
	pthread_mutex_unlock(&list->lock);
}
