/* SPDX-License-Identifier: Apache-2.0 */
/* What to tell the operator about a POST that failed: in words of the configuration, with what to do. */
#pragma once

#include <curl/curl.h>
#include "user/ship.h"

struct transfer_failure {
	CURLcode code;
	long verify_result;   /* X509_V_ERR_*, of the backend's certificate */
	int tls_alert;        /* that the backend sent (RFC 8446, 6.2); 0: none */
	long os_error;        /* errno of connect(2); 0: none */
	long proxy_status;    /* the proxy's answer to CONNECT; 0: none */
	bool answer_too_long; /* we broke off */
};

void advise_on_transfer(const struct transfer_failure *failure, const struct ship_options *options,
                        char ret_text[static 256]);

/* WORDS: the backend's own; "" if there are none. */
void advise_on_status(int status, const char *words, char ret_text[static 256]);
