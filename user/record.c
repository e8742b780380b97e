// SPDX-License-Identifier: Apache-2.0
#include "user/naming.h"
#include "user/record.h"

struct record *record_new(enum record_kind kind, size_t data_size, uint8_t **ret_data)
{
	struct record *record = calloc(1, sizeof(*record) + data_size);
	if (!record)
		return NULL;
	record->kind = kind;
	if (ret_data)
		*ret_data = (uint8_t *)(record + 1);
	return record;
}

static void endpoint_clear(const struct endpoint *endpoint)
{
	owner_unref(endpoint->owner);
	pod_facts_unref(endpoint->facts);
}

void record_free(struct record *record)
{
	if (!record)
		return;
	endpoint_clear(&record->source);
	endpoint_clear(&record->destination);
	free(record->unnamed);
	free(record);
}

size_t record_size(const struct record *record)
{
	return sizeof(*record) + (record->kind == RECORD_PACKET ? record->packet.captured_length : 0) +
	       (record->unnamed ? sizeof(*record->unnamed) : 0);
}

void record_list_append(struct record_list *list, struct record *record)
{
	record->next = NULL;
	if (list->last)
		list->last->next = record;
	else
		list->first = record;
	list->last = record;
	list->records++;
	list->bytes += record_size(record);
}

void record_list_splice(struct record_list *list, struct record_list *more)
{
	if (!more->first)
		return;
	if (list->last)
		list->last->next = more->first;
	else
		list->first = more->first;
	list->last = more->last;
	list->records += more->records;
	list->bytes += more->bytes;
	*more = (struct record_list) { 0 };
}

struct record *record_list_pop(struct record_list *list)
{
	struct record *record = list->first;
	if (!record)
		return NULL;
	list->first = record->next;
	if (!list->first)
		list->last = NULL;
	list->records--;
	list->bytes -= record_size(record);
	record->next = NULL;
	return record;
}

void record_list_clear(struct record_list *list)
{
	for (struct record *record; (record = record_list_pop(list));)
		record_free(record);
}
