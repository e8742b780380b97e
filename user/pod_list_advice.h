/* SPDX-License-Identifier: Apache-2.0 */
/* What to tell the operator about a pod list that could not be had: in words of the configuration, with what to do. */
#pragma once

#include <curl/curl.h>
#include "user/pod_list.h"

struct pod_list_failure {
	CURLcode code;
	long verify_result;   /* X509_V_ERR_*, of the server's certificate */
	long os_error;        /* errno of connect(2); 0: none */
	bool answer_too_long; /* we broke off */
};

/* ERROR: -errno of reading the file; -EBADMSG: what it holds is no token. */
void pod_list_advise_on_token(int error, const struct pod_list_options *options, char ret_text[static 256]);

void pod_list_advise_on_transfer(const struct pod_list_failure *failure, const struct pod_list_options *options,
                                 char ret_text[static 256]);

void pod_list_advise_on_status(int status, const struct pod_list_options *options, char ret_text[static 256]);
