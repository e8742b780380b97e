// SPDX-License-Identifier: Apache-2.0
/*
 * bpf/parse.bpf.h as it stands, with vmlinux.h's types, in a file of its own: those types and libc's do not go together.
 * data and data_end stay 0, so that each direct access fails and the parser asks bpf_skb_load_bytes, which is ours.
 */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

/* The context as the parser knows it, and what it stands for. */
struct user_frame {
	struct __sk_buff skb; /* first: the parser's pointer is ours */
	const __u8 *data;
	__u32 size;
};

static long load_bytes(const void *context, __u32 offset, void *to, __u32 size)
{
	const struct user_frame *frame = context;
	if (offset > frame->size || size > frame->size - offset)
		return -14; /* EFAULT */
	__builtin_memcpy(to, frame->data + offset, size);
	return 0;
}

static void *map_lookup(const void *map, const void *key);

/* Maps are empty, but for the packet at hand, and time stands still: no verdict hangs on either. */

static long map_update(const void *map, const void *key, const void *value, __u64 flags)
{
	return 0;
}

static __u64 time_now(void)
{
	return 0;
}

/* From here on the helpers' names mean the functions above. */
#define bpf_skb_load_bytes      load_bytes
#define bpf_map_lookup_elem     map_lookup
#define bpf_map_update_elem     map_update
#define bpf_ktime_get_ns        time_now
#define bpf_ktime_get_coarse_ns time_now
#define sensor                  parser_config

/* Its global functions have no prototypes: the verifier wants them global, nobody calls them from elsewhere. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "bpf/compat.bpf.h"
#include "bpf/parse.bpf.h"
#pragma GCC diagnostic warning "-Wmissing-prototypes"
#include "user/parse_user.h"

static struct scratch scratch;

static void *map_lookup(const void *map, const void *key)
{
	return map == &scratches ? &scratch : NULL;
}

enum verdict parse_user(enum link_type link_type, const void *data, __u32 size, __u32 length)
{
	struct user_frame frame = { .skb.len = length, .data = data, .size = size };
	scratch = (struct scratch) { .packet.link_type = link_type };
	return parse(&frame.skb, 1, &scratch.packet);
}
