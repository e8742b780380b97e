// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include "user/pod_list_advice.h"

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

void pod_list_advise_on_token(int error, const struct pod_list_options *options, char ret_text[static 256])
{
	if (error == -EBADMSG)
		snprintf(ret_text, 256,
		         "node.pods_token_file holds no token: check that %.128s is one line of printable characters",
		         options->token_file);
	else
		snprintf(ret_text, 256,
		         "node.pods_token_file cannot be read (%s): check that %.128s exists and is readable",
		         strerrordesc_np(-error), options->token_file);
}

static const struct advice verify_results[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED,
	  "the certificate at node.pods_url, or its CA's, has expired: renew it, and check this node's clock" },
	{ X509_V_ERR_CERT_NOT_YET_VALID,
	  "the certificate at node.pods_url, or its CA's, is not valid yet: check this node's clock" },
	{ X509_V_ERR_INVALID_PURPOSE, "the certificate at node.pods_url is not one for servers: issue one that is" },
	/* libcurl compares the names itself, after OpenSSL was content. */
	{ X509_V_OK, "the certificate at node.pods_url is for another name: use a name or address that it holds" },
	{ X509_V_ERR_UNSPECIFIED,
	  "the certificate at node.pods_url is for another name: use a name or address that it holds" },
	{ 0, NULL },
};

static const struct advice transfers[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, "the name in node.pods_url cannot be resolved: check it, and this node's DNS" },
	{ CURLE_COULDNT_CONNECT, "no connection to node.pods_url: check it, and routes and firewalls in between" },
	{ CURLE_URL_MALFORMAT, "node.pods_url is not a URL: it reads https://host:port/path" },
	{ CURLE_UNSUPPORTED_PROTOCOL, "node.pods_url does not begin with https://: no token is sent unencrypted" },
	{ CURLE_SSL_CONNECT_ERROR, "no TLS session with node.pods_url: check that it names a TLS port" },
	{ CURLE_SEND_ERROR, "the server at node.pods_url closed the connection: its log says why" },
	{ CURLE_RECV_ERROR, "the server at node.pods_url closed the connection: its log says why" },
	{ CURLE_PARTIAL_FILE, "the server at node.pods_url closed the connection: its log says why" },
	{ CURLE_GOT_NOTHING, "the server at node.pods_url closed the connection: its log says why" },
	{ CURLE_WEIRD_SERVER_REPLY, "what answers at node.pods_url does not speak HTTP: check the port" },
	{ CURLE_OUT_OF_MEMORY, "out of memory: raise the memory limit" },
	{ 0, NULL },
};

void pod_list_advise_on_transfer(const struct pod_list_failure *failure, const struct pod_list_options *options,
                                 char ret_text[static 256])
{
	const char *text = find(transfers, failure->code);
	if (failure->answer_too_long) {
		snprintf(ret_text, 256,
		         "the list at node.pods_url exceeds %zu bytes: ask for this node's pods with "
		         "fieldSelector=spec.nodeName=NAME",
		         options->bytes_max);
		return;
	}
	if (failure->code == CURLE_OPERATION_TIMEDOUT) {
		snprintf(ret_text, 256,
		         "no whole list from node.pods_url within %" PRIu64
		         " ms: check that the server is reachable and keeps up",
		         options->timeout_ns / 1000000);
		return;
	}
	if (failure->code == CURLE_SSL_CACERT_BADFILE) {
		snprintf(ret_text, 256,
		         "node.pods_ca cannot be used: check that %.128s is readable and holds PEM certificates",
		         options->ca);
		return;
	}
	if (failure->code == CURLE_PEER_FAILED_VERIFICATION) {
		text = find(verify_results, failure->verify_result);
		if (!text)
			text = *options->ca
			               ? "the certificate at node.pods_url is not signed by node.pods_ca: use the CA "
			                 "that issued it"
			               : "the certificate at node.pods_url is not signed by a CA that this system "
			                 "trusts: set node.pods_ca";
	}
	if (failure->code == CURLE_COULDNT_CONNECT && failure->os_error == ECONNREFUSED)
		text = "connections to node.pods_url are refused: check that a kubelet or API server listens at that "
		       "port";
	snprintf(ret_text, 256, "%s", text ? text : "the list at node.pods_url could not be had");
}

static const struct advice statuses[] = {
	{ 401, "the server at node.pods_url does not know the token: check what node.pods_token_file holds" },
	{ 403, "the token may not read the pods: grant its account list on pods, or get on nodes/proxy for a kubelet" },
	{ 404, "there is no list at node.pods_url: it is /pods at a kubelet, /api/v1/pods at an API server" },
	{ 429, "the server at node.pods_url is overloaded" },
	{ 500, "the server at node.pods_url is not ready" },
	{ 502, "the server at node.pods_url is not ready" },
	{ 503, "the server at node.pods_url is not ready" },
	{ 504, "the server at node.pods_url is not ready" },
	{ 0, NULL },
};

void pod_list_advise_on_status(int status, const struct pod_list_options *options, char ret_text[static 256])
{
	const char *text = find(statuses, status);
	/* To an API server, who shows no token is somebody, too: one who may do nothing. */
	if (!*options->token_file && (status == 401 || status == 403))
		text = "the server at node.pods_url demands a token: set node.pods_token_file";
	else if (status >= 300 && status < 400)
		text = "node.pods_url points elsewhere, and redirects are not followed: set it to the place itself";
	snprintf(ret_text, 256, "%s (status %d)", text ? text : "the server at node.pods_url refuses", status);
}
