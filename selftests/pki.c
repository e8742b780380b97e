// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include "selftests/pki.h"
#include "user/cleanup.h"

#define DAY 86400

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free)

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void identity_clear(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	_cleanup_(X509_EXTENSION_freep) X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	return extension && X509_add_ext(certificate, extension, -1);
}

static bool write_pem(const char *dir, const char *name, const struct identity *identity)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.crt", dir, name);
	_cleanup_(fclosep) FILE *certificate = fopen(path, "w");
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	_cleanup_(fclosep) FILE *key = fopen(path, "w");
	return certificate && key && PEM_write_X509(certificate, identity->certificate) &&
	       PEM_write_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL);
}

struct request {
	const char *name;     /* of subject and files */
	const char *alt_name; /* of a server; NULL: not one */
	time_t not_after;
	const struct identity *issuer; /* NULL: a CA, signed by itself */
};

static int make(const char *dir, const struct request *request, struct identity *ret_identity)
{
	static long serial;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_(X509_freep) X509 *certificate = X509_new();
	if (!key || !certificate)
		return -1;
	const struct identity self = { key, certificate };
	const struct identity *issuer = request->issuer ? request->issuer : &self;
	X509_NAME *name = X509_get_subject_name(certificate);
	bool made = X509_set_version(certificate, 2) &&
	            ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial) &&
	            ASN1_TIME_set(X509_getm_notBefore(certificate), time(NULL) - 30 * DAY) &&
	            ASN1_TIME_set(X509_getm_notAfter(certificate), request->not_after) &&
	            X509_set_pubkey(certificate, key) &&
	            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)request->name, -1, -1,
	                                       0) &&
	            X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
	if (!request->issuer)
		made = made && add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
	else if (request->alt_name)
		made = made && add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
		       add_extension(certificate, NID_subject_alt_name, request->alt_name);
	else
		made = made && add_extension(certificate, NID_ext_key_usage, "clientAuth");
	if (!made || !X509_sign(certificate, issuer->key, EVP_sha256()) || !write_pem(dir, request->name, &self))
		return -1;
	*ret_identity = (struct identity) { TAKE_PTR(key), TAKE_PTR(certificate) };
	return 0;
}

static int make_file(const char *dir, const struct request *request)
{
	_cleanup_(identity_clear) struct identity identity = { 0 };
	return make(dir, request, &identity);
}

static bool write_locked_key(const char *dir, EVP_PKEY *key)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/locked.key", dir);
	_cleanup_(fclosep) FILE *file = fopen(path, "w");
	return file &&
	       PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
}

int pki_make(const char *dir, int64_t *ret_not_after)
{
	_cleanup_(identity_clear) struct identity ca = { 0 };
	_cleanup_(identity_clear) struct identity other = { 0 };
	const char *here = "IP:127.0.0.1,DNS:localhost";
	time_t good = time(NULL) + DAY, past = time(NULL) - DAY;
	if (make(dir, &(struct request) { "ca", NULL, good, NULL }, &ca) < 0 ||
	    make(dir, &(struct request) { "other-ca", NULL, good, NULL }, &other) < 0)
		return -1;
	const struct request requests[] = {
		{ "server", here, good, &ca },  { "stranger", "DNS:elsewhere.example", good, &ca },
		{ "stale", here, past, &ca },   { "client", NULL, good, &ca },
		{ "expired", NULL, past, &ca }, { "foreign", NULL, good, &other },
	};
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (make_file(dir, &requests[i]) < 0)
			return -1;
	if (!write_locked_key(dir, other.key))
		return -1;
	*ret_not_after = good;
	return 0;
}

void pki_remove(const char *dir)
{
	_cleanup_(closedirp) DIR *entries = opendir(dir);
	for (struct dirent *entry; entries && (entry = readdir(entries));)
		unlinkat(dirfd(entries), entry->d_name, 0);
	rmdir(dir);
}
