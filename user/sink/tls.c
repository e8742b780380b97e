// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "user/sink/tls.h"

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free)

static void name_text(const X509_NAME *name, char text[static TLS_NAME_MAX])
{
	text[0] = '\0';
	_cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
	/* Control characters of a name are escaped; UTF-8 is left as it is. */
	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) < 0)
		return;
	int size = BIO_read(bio, text, TLS_NAME_MAX - 1);
	text[size > 0 ? size : 0] = '\0';
}

/* OpenSSL's own check decides; this only keeps what there is to say of a certificate that it refuses. */
static int note_refusal(int accepted, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_peer *peer = SSL_get_app_data(ssl);
	if (accepted)
		return accepted;

	peer->verify_error = X509_STORE_CTX_get_error(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	const X509 *refused = X509_STORE_CTX_get_current_cert(store);
	if (leaf)
		name_text(X509_get_subject_name(leaf), peer->subject);
	if (refused)
		name_text(X509_get_issuer_name(refused), peer->issuer);
	return accepted;
}

/* The reason of the latest failure; what was queued before it is dropped. */
static const char *openssl_reason(void)
{
	unsigned long error = ERR_peek_last_error();
	ERR_clear_error();
	if (ERR_SYSTEM_ERROR(error))
		return strerrordesc_np(ERR_GET_REASON(error));
	const char *reason = ERR_reason_error_string(error);
	return reason ? reason : "unknown error";
}

/* BIO's errors say little of files ("BIO lib"); what the system says of them is plain. */
static int file_failed(struct buf *error, const char *key, const char *path)
{
	const char *reason = openssl_reason();
	if (access(path, R_OK) < 0)
		reason = strerrordesc_np(errno);
	buf_appendf(error, "%s: %s: %s\n", key, path, reason);
	return -EINVAL;
}

int tls_context_new(const char *ca, const char *cert, const char *key, SSL_CTX **ret_context, struct buf *error)
{
	ERR_clear_error();
	_cleanup_(SSL_CTX_freep) SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		return -ENOMEM;

	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, note_refusal);

	if (SSL_CTX_load_verify_file(context, ca) != 1)
		return file_failed(error, "ca", ca);
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
	if (!names)
		return file_failed(error, "ca", ca);
	SSL_CTX_set_client_CA_list(context, names);

	if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return file_failed(error, "cert", cert);
	/* Says so where key and certificate are not a pair. */
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return file_failed(error, "key", key);

	*ret_context = TAKE_PTR(context);
	return 0;
}

SSL *tls_accept_new(SSL_CTX *context, struct tls_peer *peer)
{
	SSL *ssl = SSL_new(context);
	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, peer);
	SSL_set_accept_state(ssl);
	return ssl;
}

int tls_peer_verified(SSL *ssl, struct tls_peer *peer)
{
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK)
		return -EKEYREJECTED;
	name_text(X509_get_subject_name(certificate), peer->subject);
	return 0;
}

static void explain_certificate(const struct tls_peer *peer, char text[static 512])
{
	switch (peer->verify_error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		snprintf(text, 512, "its certificate is not signed by an authority in `ca`, but by \"%s\"",
		         peer->issuer);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		snprintf(text, 512, "its certificate, or one that signs it, has expired");
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		snprintf(text, 512, "its certificate is not valid yet: is a clock wrong?");
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		snprintf(text, 512, "its certificate is not made for clients (extended key usage)");
		break;
	default:
		snprintf(text, 512, "its certificate is refused: %s",
		         X509_verify_cert_error_string(peer->verify_error));
	}
}

void tls_explain(const struct tls_peer *peer, unsigned long error, char text[static 512])
{
	if (peer->verify_error != X509_V_OK) {
		explain_certificate(peer, text);
		return;
	}

	switch (error && !ERR_SYSTEM_ERROR(error) ? ERR_GET_REASON(error) : 0) {
	case 0:
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		snprintf(text, 512, "it hung up during the handshake");
		break;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		snprintf(text, 512, "it shows no client certificate");
		break;
	case SSL_R_HTTP_REQUEST:
		snprintf(text, 512, "it speaks plain HTTP, not TLS");
		break;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_RECORD_TOO_SMALL:
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		snprintf(text, 512, "what it sends is not TLS (%s)", ERR_reason_error_string(error));
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
		snprintf(text, 512, "it does not speak TLS 1.2 or later");
		break;
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
		snprintf(text, 512, "it does not trust the sink's certificate (%s)", ERR_reason_error_string(error));
		break;
	default: {
		const char *reason = ERR_reason_error_string(error);
		snprintf(text, 512, "TLS handshake failed: %s", reason ? reason : "unknown error");
	}
	}
}
