/* SPDX-License-Identifier: Apache-2.0 */
/* The sink's TLS: at least 1.2, a client certificate always, and words for why a handshake failed. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include "user/buf.h"

#define TLS_NAME_MAX 256

/* Who is at the other end. Names are RFC 2253 subjects, cut at TLS_NAME_MAX. */
struct tls_peer {
	char subject[TLS_NAME_MAX]; /* of the client's certificate, also of one that was not accepted; "": none seen */
	char issuer[TLS_NAME_MAX];  /* of the certificate that was not accepted */
	int verify_error;           /* X509_V_ERR_*, X509_V_OK */
};

/*
 * A context that asks for a client certificate signed by CA and speaks with CERT and KEY (PEM files). Neither sessions
 * nor tickets are kept: whoever connects shows its certificate, and an expired one ends with its connections. On
 * failure -EINVAL and a line in ERROR, or -ENOMEM. Free with SSL_CTX_free.
 */
int tls_context_new(const char *ca, const char *cert, const char *key, SSL_CTX **ret_context, struct buf *error);

/* A server's end of a connection; what PEER says is filled during the handshake, so it outlives it. NULL: no memory. */
SSL *tls_accept_new(SSL_CTX *context, struct tls_peer *peer);

/* After the handshake: -EKEYREJECTED where there is no verified certificate, though the context cannot let that happen.
 */
int tls_peer_verified(SSL *ssl, struct tls_peer *peer);

/*
 * Why a handshake failed, as a person would say it. ERROR is OpenSSL's code, 0 where the connection just ended. TEXT
 * holds at least 512 bytes.
 */
void tls_explain(const struct tls_peer *peer, unsigned long error, char text[static 512]);
