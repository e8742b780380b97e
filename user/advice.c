// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include "user/advice.h"
#include "user/post.h"

/* Lists, ended by a NULL text, of what a number means. */
struct advice {
	long number;
	const char *text;
};

static const char *find(const struct advice *list, long number)
{
	while (list->text && list->number != number)
		list++;
	return list->text;
}

/* The backend broke off the handshake: what it says of us. */
static const struct advice alerts[] = {
	{ SSL3_AD_BAD_CERTIFICATE, "the backend refuses backend.cert: use a certificate that it trusts" },
	{ SSL3_AD_UNSUPPORTED_CERTIFICATE, "the backend refuses the kind of backend.cert: it must be for TLS clients" },
	{ SSL3_AD_CERTIFICATE_REVOKED, "the backend says that backend.cert is revoked: have a new one issued" },
	{ SSL3_AD_CERTIFICATE_EXPIRED,
	  "the backend says that backend.cert has expired: renew it, and check the clocks" },
	{ SSL3_AD_CERTIFICATE_UNKNOWN, "the backend refuses backend.cert: use a certificate that it trusts" },
	{ TLS1_AD_UNKNOWN_CA, "the backend does not know who signed backend.cert: use one signed by the CA it trusts" },
	{ TLS1_AD_ACCESS_DENIED, "the backend does not let this client in: check which certificates it admits" },
	{ TLS1_AD_DECRYPT_ERROR, "the backend refuses backend.cert: check that backend.key belongs to it" },
	{ TLS1_AD_PROTOCOL_VERSION, "the backend speaks no TLS 1.2 or later: upgrade it" },
	{ TLS13_AD_CERTIFICATE_REQUIRED, "the backend demands a client certificate: set backend.cert and backend.key" },
	{ 0, NULL },
};

static const struct advice verify_results[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED,
	  "the backend's certificate, or its CA's, has expired: renew it, and check this node's clock" },
	{ X509_V_ERR_CERT_NOT_YET_VALID,
	  "the backend's certificate, or its CA's, is not valid yet: check this node's clock" },
	{ X509_V_ERR_INVALID_PURPOSE, "the backend's certificate is not one for servers: issue one that is" },
	{ X509_V_ERR_CERT_REVOKED, "the backend's certificate is revoked: have a new one issued" },
	/* libcurl compares the names itself, after OpenSSL was content. */
	{ X509_V_OK, "the backend's certificate is for another name than backend.url: use a name that it holds" },
	{ X509_V_ERR_UNSPECIFIED,
	  "the backend's certificate is for another name than backend.url: use a name that it holds" },
	{ 0, NULL },
};

static const struct advice transfers[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, "the name in backend.url cannot be resolved: check it, and this node's DNS" },
	{ CURLE_COULDNT_RESOLVE_PROXY, "the name in backend.proxy cannot be resolved: check it, and this node's DNS" },
	{ CURLE_COULDNT_CONNECT, "no connection to the backend: check backend.url, routes and firewalls in between" },
	{ CURLE_OPERATION_TIMEDOUT,
	  "no answer within backend.timeout: check that the backend is reachable and keeps up" },
	{ CURLE_URL_MALFORMAT, "backend.url is not a URL: it reads https://host:port" },
	{ CURLE_UNSUPPORTED_PROTOCOL, "what answers at backend.url is not an HTTPS server: check the port" },
	{ CURLE_SSL_CONNECT_ERROR, "no TLS session with the backend: check that backend.url names its TLS port" },
	{ CURLE_SEND_ERROR,
	  "the backend closed the connection: its log says why; it may refuse the client certificate" },
	{ CURLE_RECV_ERROR,
	  "the backend closed the connection: its log says why; it may refuse the client certificate" },
	{ CURLE_GOT_NOTHING, "the backend closed the connection without an answer: its log says why" },
	{ CURLE_WEIRD_SERVER_REPLY, "what answers at backend.url does not speak HTTP: check the port" },
	{ CURLE_OUT_OF_MEMORY, "out of memory: raise the memory limit, or lower batch.bytes" },
	{ 0, NULL },
};

static void advise(char ret_text[static 256], const char *text)
{
	snprintf(ret_text, 256, "%s", text);
}

void advise_on_transfer(const struct transfer_failure *failure, const struct ship_options *options,
                        char ret_text[static 256])
{
	const char *text = find(alerts, failure->tls_alert);
	if (text)
		return advise(ret_text, text);
	/* In TLS 1.2 no alert says that a certificate is missing. */
	if (failure->tls_alert == SSL3_AD_HANDSHAKE_FAILURE && !*options->cert)
		return advise(ret_text, "the backend breaks off the handshake: if it demands a client certificate, "
		                        "set backend.cert and backend.key");
	if (failure->answer_too_long)
		return advise(ret_text,
		              "the backend's answer exceeds 64 KiB: check that backend.url is an OTLP receiver");
	if (failure->proxy_status >= 300) {
		snprintf(ret_text, 256,
		         "the proxy refuses to connect to the backend (status %ld): check what backend.proxy admits",
		         failure->proxy_status);
		return;
	}
	if (failure->code == CURLE_COULDNT_CONNECT && *options->proxy)
		return advise(ret_text,
		              "no connection to the proxy, or to a backend that backend.no_proxy names: check "
		              "backend.proxy, routes and firewalls in between");
	if (failure->code == CURLE_COULDNT_CONNECT && failure->os_error == ECONNREFUSED)
		return advise(ret_text,
		              "the backend refuses connections: check that it runs, and the port in backend.url");

	if (failure->code == CURLE_SSL_CACERT_BADFILE) {
		snprintf(ret_text, 256,
		         "backend.ca cannot be used: check that %.128s is readable and holds PEM certificates",
		         options->ca);
		return;
	}
	if (failure->code == CURLE_SSL_CERTPROBLEM) {
		snprintf(ret_text, 256,
		         "backend.cert and backend.key cannot be used: check that %.64s and %.64s are readable, PEM, "
		         "without a password, and belong together",
		         options->cert, options->key);
		return;
	}
	if (failure->code == CURLE_PEER_FAILED_VERIFICATION) {
		text = find(verify_results, failure->verify_result);
		if (text)
			return advise(ret_text, text);
		return advise(ret_text, *options->ca
		                                ? "the backend's certificate is not signed by backend.ca: use the CA "
		                                  "that issued it"
		                                : "the backend's certificate is not signed by a CA that this system "
		                                  "trusts: set backend.ca");
	}
	if (failure->code == CURLE_UNSUPPORTED_PROTOCOL && strncasecmp(options->url, "https://", 8) != 0)
		return advise(ret_text, "backend.url does not begin with https://: nothing is sent unencrypted");
	text = find(transfers, failure->code);
	advise(ret_text, text ? text : "the batch could not be posted");
}

static const struct advice statuses[] = {
	{ 400, "the backend takes the batch for malformed" },
	{ 401, "the backend does not let this client in: check its certificate, and what the backend admits" },
	{ 403, "the backend does not let this client in: check its certificate, and what the backend admits" },
	{ 404, "there is no OTLP receiver at backend.url: check host, port and path" },
	{ 405, "there is no OTLP receiver at backend.url: check host, port and path" },
	{ 413, "the batch is too large for the backend: lower batch.bytes, or raise its limit" },
	{ 415,
	  "the backend takes no such content: set backend.compression to none, or check that it is an OTLP receiver" },
	{ 429, "the backend is overloaded" },
	{ 502, "the backend is not ready" },
	{ 503, "the backend is not ready" },
	{ 504, "the backend is not ready" },
	{ 0, NULL },
};

void advise_on_status(int status, const char *words, char ret_text[static 256])
{
	const char *text = find(statuses, status);
	if (!text && status >= 300 && status < 400)
		text = "the backend points elsewhere, and redirects are not followed: set backend.url to the place itself";
	snprintf(ret_text, 256, "%s (status %d)%s%.100s", text ? text : "the backend refuses the batch", status,
	         *words ? ": " : "", words);
}
