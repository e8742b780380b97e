// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "user/session.h"

#define TEXTS 9

/* Where OPTIONS hold texts. */
static void find_texts(struct ship_options *options, const char **ret_texts[static TEXTS])
{
	const char **const texts[TEXTS] = {
		&options->url,
		&options->ca,
		&options->cert,
		&options->key,
		&options->proxy,
		&options->no_proxy,
		&options->resource.service_version,
		&options->resource.host_name,
		&options->resource.node_name,
	};
	memcpy(ret_texts, texts, sizeof(texts));
}

int session_new(const struct ship_options *options, struct session **ret_session)
{
	if (!options->batch_records || !options->batch_bytes || !options->batch_age_ns || !options->timeout_ns)
		return -EINVAL;
	_cleanup_(session_freep) struct session *session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->options = *options;

	const char **texts[TEXTS];
	bool copied = true;
	find_texts(&session->options, texts);
	for (size_t i = 0; i < TEXTS; i++) {
		*texts[i] = strdup(*texts[i] ? *texts[i] : "");
		copied = copied && *texts[i];
	}
	if (!copied)
		return -ENOMEM;

	int r = *session->options.url ? post_new(&session->options, &session->post) : 0;
	if (r < 0)
		return r;
	*ret_session = TAKE_PTR(session);
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	const char **texts[TEXTS];
	post_free(session->post);
	find_texts(&session->options, texts);
	for (size_t i = 0; i < TEXTS; i++)
		free((char *)*texts[i]);
	free(session);
}
