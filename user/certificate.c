// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>
#include "user/certificate.h"
#include "user/cleanup.h"

DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(X509 *, X509_free)

/* OpenSSL would ask at the terminal. */
static int no_password(char *space, int size, int writing, void *data)
{
	return -1;
}

int64_t certificate_expiry(const char *path)
{
	int64_t earliest = 0;
	_cleanup_(BIO_freep) BIO *file = *path ? BIO_new_file(path, "r") : NULL;
	while (file) {
		_cleanup_(X509_freep) X509 *certificate = PEM_read_bio_X509(file, NULL, no_password, NULL);
		struct tm tm;
		if (!certificate || !ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
			break;
		int64_t expiry = timegm(&tm);
		if (!earliest || expiry < earliest)
			earliest = expiry;
	}
	/* The end of the file is an error to OpenSSL; libcurl on this thread must not take it for one of its own. */
	ERR_clear_error();
	return earliest;
}
