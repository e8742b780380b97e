/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot as JSON (`sonde status --json`) and as text. */
#pragma once

#include "user/buf.h"
#include "user/snapshot.h"

/*
 * Appends the snapshot as one JSON object and a newline. URL: backend.url. 0, -ENOMEM, -EFBIG.
 *
 *	{"version",
 *	 "interfaces":[{"name","ifindex","hook":"tcx|clsact","ingress":{"seen","observed","bytes_observed","skipped":{reason:n}},
 *	                "egress":{…}}], "departed":{"ingress","egress"},
 *	 "records":{kind:{"produced","lost":{reason:n},"received","acked","queued","spooled","dropped":{reason:n}}},
 *	 "flows":{"current","unreported_packets","unreported_bytes"}, "ring":{"bytes","records"},
 *	 "backend":{"url","up","last_error"},
 *	 "books":{"balanced":bool,"difference":n,"hooks":n,"flows":n,"bytes":n,"records":n}}
 */
int status_json(const struct snapshot *snapshot, const char *url, struct buf *out);

/* What status_json made, for a person. 0, or -EBADMSG: not such an object. */
int status_text(const char *json, struct buf *out);
