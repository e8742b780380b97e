// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "user/clock.h"
#include "user/naming.h"

#define RETRY_FIRST_NS (50 * NS_PER_MS) /* the interval doubles from there */

/* Asks for END's owner, in place of the one that ENDPOINT has. True: more may be known in a moment. */
static bool ask(struct enrich *enrich, struct endpoint *endpoint, const struct enrich_end *end, bool last)
{
	struct owner *owner = NULL;
	bool more = enrich_end(enrich, end, last, &owner);
	owner_unref(endpoint->owner);
	pod_facts_unref(endpoint->facts);
	endpoint->owner = owner;
	endpoint->facts = enrich_facts(enrich, owner);
	return more;
}

void record_name(struct record *record, struct enrich *enrich, const struct enrich_end end[static 2])
{
	struct endpoint *endpoints[2] = { &record->source, &record->destination };
	bool open[2];
	for (int i = 0; i < 2; i++)
		open[i] = ask(enrich, endpoints[i], &end[i], false);
	if (!open[0] && !open[1])
		return;

	struct unnamed *unnamed = malloc(sizeof(*unnamed));
	if (!unnamed) {
		/* Then it cannot wait: what is missing is counted. */
		for (int i = 0; i < 2; i++)
			if (open[i])
				ask(enrich, endpoints[i], &end[i], true);
		return;
	}
	uint64_t now = clock_monotonic_ns();
	*unnamed = (struct unnamed) { .since_ns = now, .retry_ns = now + RETRY_FIRST_NS };
	memcpy(unnamed->end, end, sizeof(unnamed->end));
	memcpy(unnamed->open, open, sizeof(unnamed->open));
	record->unnamed = unnamed;
}

/* True: RECORD goes on waiting. */
static bool ask_again(struct record *record, struct enrich *enrich, uint64_t now, bool last)
{
	struct endpoint *endpoints[2] = { &record->source, &record->destination };
	struct unnamed *unnamed = record->unnamed;

	last = last || now >= unnamed->since_ns + NAMING_PATIENCE_NS;
	if (!last && now < unnamed->retry_ns)
		return true;
	for (int i = 0; i < 2; i++)
		if (unnamed->open[i])
			unnamed->open[i] = ask(enrich, endpoints[i], &unnamed->end[i], last);
	unnamed->retry_ns = now + (now - unnamed->since_ns);
	return !last && (unnamed->open[0] || unnamed->open[1]);
}

void naming_retry(struct queue *queue, struct enrich *enrich, bool last)
{
	struct record_list list = { 0 }, settled = { 0 };
	uint64_t now = clock_monotonic_ns();
	if (!enrich)
		return;

	/* Without the lock of the books: asking reads maps and /proc. */
	queue_take_unnamed(queue, &list);
	for (size_t n = list.records; n > 0; n--) {
		struct record *record = record_list_pop(&list);
		if (ask_again(record, enrich, now, last || n > NAMING_MAX)) {
			record_list_append(&list, record);
			continue;
		}
		free(TAKE_PTR(record->unnamed));
		record_list_append(&settled, record);
	}
	queue_return(queue, &list);
	queue_return(queue, &settled);
}
