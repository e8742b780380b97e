// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "user/sink/dedupe.h"

struct ahead {
	uint64_t sequence;
	uint32_t part;
};

struct stream {
	UT_hash_handle hh; /* the table keeps the order of insertion: its first stream is the one quiet for longest */
	uint8_t id[16];
	uint64_t mark;       /* all up to this are stored */
	struct ahead *ahead; /* the ones beyond it, in order */
	size_t n, capacity;
};

struct dedupe {
	struct stream *streams;
	size_t max_streams, max_ahead;
};

int dedupe_new(size_t max_streams, size_t max_ahead, struct dedupe **ret_dedupe)
{
	struct dedupe *dedupe = malloc(sizeof(*dedupe));
	if (!dedupe)
		return -ENOMEM;
	*dedupe = (struct dedupe) { .max_streams = max_streams, .max_ahead = max_ahead };
	*ret_dedupe = dedupe;
	return 0;
}

static void stream_free(struct dedupe *dedupe, struct stream *stream)
{
	HASH_DEL(dedupe->streams, stream);
	free(stream->ahead);
	free(stream);
}

void dedupe_free(struct dedupe *dedupe)
{
	while (dedupe->streams)
		stream_free(dedupe, dedupe->streams);
	free(dedupe);
}

static struct stream *stream_find(const struct dedupe *dedupe, const uint8_t id[static 16])
{
	struct stream *stream;
	HASH_FIND(hh, dedupe->streams, id, sizeof(stream->id), stream);
	return stream;
}

/* The stream, made where it is new, as the latest one used; NULL: no memory. */
static struct stream *stream_use(struct dedupe *dedupe, const uint8_t id[static 16])
{
	struct stream *stream = stream_find(dedupe, id);
	if (stream) {
		HASH_DEL(dedupe->streams, stream);
	} else {
		stream = calloc(1, sizeof(*stream));
		if (!stream)
			return NULL;
		memcpy(stream->id, id, sizeof(stream->id));
		if (HASH_COUNT(dedupe->streams) >= dedupe->max_streams)
			stream_free(dedupe, dedupe->streams);
	}
	HASH_ADD(hh, dedupe->streams, id, sizeof(stream->id), stream);
	return stream;
}

/* Where (sequence, part) is, or would be. */
static size_t position(const struct stream *stream, uint64_t sequence, uint32_t part)
{
	size_t low = 0, high = stream->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct ahead *ahead = &stream->ahead[middle];
		if (ahead->sequence < sequence || (ahead->sequence == sequence && ahead->part < part))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool stream_has(const struct stream *stream, const struct batch_key *key)
{
	if (key->sequence <= stream->mark)
		return true;
	size_t at = position(stream, key->sequence, key->part);
	return at < stream->n && stream->ahead[at].sequence == key->sequence && stream->ahead[at].part == key->part;
}

bool dedupe_has(const struct dedupe *dedupe, const struct batch_key *key)
{
	const struct stream *stream = stream_find(dedupe, key->stream);
	return stream && stream_has(stream, key);
}

static void raise_mark(struct stream *stream, uint64_t sequence)
{
	size_t passed = position(stream, sequence, UINT32_MAX);
	if (passed < stream->n && stream->ahead[passed].sequence == sequence)
		passed++;
	stream->mark = sequence;
	stream->n -= passed;
	if (stream->n)
		memmove(stream->ahead, stream->ahead + passed, stream->n * sizeof(*stream->ahead));
}

/* The mark follows the latest number at a distance, as long as the numbers before it have no gap. */
static void follow(struct stream *stream)
{
	uint64_t latest = stream->ahead[stream->n - 1].sequence;
	uint64_t mark = stream->mark;
	for (size_t i = 0; i < stream->n; i++) {
		uint64_t sequence = stream->ahead[i].sequence;
		if (sequence > mark + 1 || latest - sequence < DEDUPE_REACH)
			break;
		mark = sequence;
	}
	if (mark > stream->mark)
		raise_mark(stream, mark);
}

static int grow(struct stream *stream, size_t max)
{
	if (stream->n < stream->capacity)
		return 0;
	size_t capacity = stream->capacity ? stream->capacity * 2 : 16;
	if (capacity > max)
		capacity = max;
	struct ahead *ahead = reallocarray(stream->ahead, capacity, sizeof(*ahead));
	if (!ahead)
		return -ENOMEM;
	stream->ahead = ahead;
	stream->capacity = capacity;
	return 0;
}

int dedupe_add(struct dedupe *dedupe, const struct batch_key *key)
{
	struct stream *stream = stream_use(dedupe, key->stream);
	if (!stream)
		return -ENOMEM;
	if (stream_has(stream, key))
		return 0;
	if (stream->n == dedupe->max_ahead) {
		/* A batch in very many parts is not forgotten as a whole: rather is this part stored again. */
		if (stream->ahead[0].sequence >= key->sequence)
			return 0;
		raise_mark(stream, stream->ahead[0].sequence);
	}
	int r = grow(stream, dedupe->max_ahead);
	if (r < 0)
		return r;

	size_t at = position(stream, key->sequence, key->part);
	memmove(stream->ahead + at + 1, stream->ahead + at, (stream->n - at) * sizeof(*stream->ahead));
	stream->ahead[at] = (struct ahead) { key->sequence, key->part };
	stream->n++;
	follow(stream);
	return 0;
}

int dedupe_set_mark(struct dedupe *dedupe, const uint8_t stream_id[static 16], uint64_t sequence)
{
	struct stream *stream = stream_use(dedupe, stream_id);
	if (!stream)
		return -ENOMEM;
	if (sequence > stream->mark)
		raise_mark(stream, sequence);
	return 0;
}

size_t dedupe_streams(const struct dedupe *dedupe)
{
	return HASH_COUNT(dedupe->streams);
}

static int stream_each(const struct stream *stream, int (*on_mark)(const struct batch_key *, void *),
                       int (*on_batch)(const struct batch_key *, void *), void *data)
{
	struct batch_key key = { .sequence = stream->mark };
	memcpy(key.stream, stream->id, sizeof(key.stream));
	int r = on_mark(&key, data);
	for (size_t i = 0; i < stream->n && r == 0; i++) {
		key.sequence = stream->ahead[i].sequence;
		key.part = stream->ahead[i].part;
		r = on_batch(&key, data);
	}
	return r;
}

int dedupe_each(const struct dedupe *dedupe, int (*on_mark)(const struct batch_key *, void *),
                int (*on_batch)(const struct batch_key *, void *), void *data)
{
	for (const struct stream *stream = dedupe->streams; stream; stream = stream->hh.next) {
		int r = stream_each(stream, on_mark, on_batch, data);
		if (r != 0)
			return r;
	}
	return 0;
}
