// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "user/pods_text.h"

#define LABEL_MAX     63 /* RFC 1123 */
#define SUBDOMAIN_MAX 253

#define UID_DIGITS 32
#define UUID_SIZE  36

/* The kubelet cuts the name of a link (without its suffix) to what ext4 takes, and with it the container id. */
#define LINK_SUFFIX   ".log"
#define LINK_MAX_SIZE (255 - (sizeof(LINK_SUFFIX) - 1))
#define ID_DIGITS     64
#define ID_MIN_DIGITS 12

static bool is_alphanumeric(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z');
}

/* A DNS label, or with DOTS several, as the API asks of names: no label is empty, or begins or ends with a dash. */
static bool is_dns_name(const char *name, size_t size, size_t max, bool dots)
{
	if (!size || size > max)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool edge = i == 0 || i + 1 == size || name[i - 1] == '.' || name[i + 1] == '.';
		bool separator = name[i] == '-' || (dots && name[i] == '.');
		if (!is_alphanumeric(name[i]) && (edge || !separator))
			return false;
	}
	return true;
}

static bool all_hex(const char *text, size_t size)
{
	return strspn(text, "0123456789abcdef") >= size;
}

static void copy_name(char *ret_name, const char *text, size_t size)
{
	memcpy(ret_name, text, size);
	ret_name[size] = '\0';
}

void pods_key_of_uid(const char *pod_uid, char ret_key[static PODS_KEY_SIZE])
{
	size_t size = 0;
	for (; *pod_uid && size + 1 < PODS_KEY_SIZE; pod_uid++)
		if (*pod_uid != '-')
			ret_key[size++] = *pod_uid;
	ret_key[size] = '\0';
}

void pods_key_of_container(const char *container_id, char ret_key[static PODS_KEY_SIZE])
{
	copy_name(ret_key, container_id, strnlen(container_id, ID_MIN_DIGITS));
}

/* A UUID, or the hash that is a static pod's uid. */
static bool is_uid(const char *uid)
{
	size_t size = strlen(uid);
	if (size == UID_DIGITS)
		return all_hex(uid, size);
	if (size != UUID_SIZE)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? uid[i] != '-' : !all_hex(uid + i, 1))
			return false;
	}
	return true;
}

/* None of the three may hold an underscore. */
bool pods_dir_parse(const char *entry, char ret_uid_key[static PODS_KEY_SIZE], struct pod_names *ret_names)
{
	const char *pod = strchr(entry, '_');
	const char *uid = pod ? strchr(pod + 1, '_') : NULL;
	if (!uid || !is_uid(uid + 1))
		return false;

	size_t namespace_size = (size_t)(pod - entry), pod_size = (size_t)(uid - ++pod);
	if (!is_dns_name(entry, namespace_size, LABEL_MAX, false) || !is_dns_name(pod, pod_size, SUBDOMAIN_MAX, true))
		return false;
	pods_key_of_uid(uid + 1, ret_uid_key);
	copy_name(ret_names->namespace_name, entry, namespace_size);
	copy_name(ret_names->pod_name, pod, pod_size);
	return true;
}

bool pods_link_parse(const char *entry, struct pods_link *ret_link)
{
	size_t size = strlen(entry), suffix = sizeof(LINK_SUFFIX) - 1;
	if (size <= suffix || strcmp(entry + size - suffix, LINK_SUFFIX))
		return false;
	size -= suffix;

	const char *namespace_name = strchr(entry, '_');
	const char *container = namespace_name ? strchr(namespace_name + 1, '_') : NULL;
	const char *id = container ? memrchr(container, '-', (size_t)(entry + size - container)) : NULL;
	if (!id)
		return false;
	size_t pod_size = (size_t)(namespace_name++ - entry), namespace_size = (size_t)(container++ - namespace_name);
	size_t container_size = (size_t)(id++ - container), digits = (size_t)(entry + size - id);
	bool whole = digits == ID_DIGITS, cut = size == LINK_MAX_SIZE && digits >= ID_MIN_DIGITS && digits < ID_DIGITS;

	if ((!whole && !cut) || !all_hex(id, digits) || !is_dns_name(entry, pod_size, SUBDOMAIN_MAX, true) ||
	    !is_dns_name(namespace_name, namespace_size, LABEL_MAX, false) ||
	    !is_dns_name(container, container_size, LABEL_MAX, false))
		return false;
	copy_name(ret_link->pod.pod_name, entry, pod_size);
	copy_name(ret_link->pod.namespace_name, namespace_name, namespace_size);
	copy_name(ret_link->container_name, container, container_size);
	copy_name(ret_link->container_id, id, digits);
	return true;
}
