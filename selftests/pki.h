/* SPDX-License-Identifier: Apache-2.0 */
/* Throw-away certificates for tests, made in a moment (P-256), in files of a directory. */
#pragma once

#include <stdint.h>

/*
 * In DIR: ca.crt; and, signed by it, server.crt (for 127.0.0.1 and localhost), stranger.crt (a server's, for another
 * name), stale.crt (a server's that has expired), client.crt, expired.crt (a client's that has expired); other-ca.crt
 * and foreign.crt (a client's, signed by that); each with a key (.key) of its own; and locked.key, which needs a password. All else is valid until
 * *ret_not_after, Unix time. 0, or -1.
 */
int pki_make(const char *dir, int64_t *ret_not_after);

/* Removes DIR and the files in it. */
void pki_remove(const char *dir);
