/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket hooks (bpf/hook_sock.bpf.h): attached to the root of the cgroup v2 tree by pinned links, beside whatever others
 * have there. What they know is in the loader's maps: see bpf/socket.h.
 */
#pragma once

#include <stdint.h>
#include "bpf/socket.h"
#include "user/loader.h"

struct sockets;

/*
 * Attaches all hooks, or puts our programs into the links that a former loader left pinned, atomically for each event. Then
 * looks for the sockets that exist already (where the kernel can iterate over them), so that they have owners from the first
 * record on. TREE_FD: the cgroup v2 tree's root. 0 or -errno; what is attached when it fails is detached again.
 */
int sockets_attach(const struct loader *loader, int tree_fd, struct sockets **ret_sockets);

/* Detaches all hooks and removes their pins. The first error, after all was tried. */
int sockets_detach(struct sockets *sockets);

/* Frees the descriptors; what is attached and pinned stays. */
void sockets_free(struct sockets *sockets);
DEFINE_CLEANUP(struct sockets *, sockets_free)

/*
 * Brings the health of all established connections in map `sockets` up to date, of all network namespaces, in one walk over
 * the socket storage: nothing is paid for it per packet. To be called before each reading of the flow table. 0 or -errno.
 */
int sockets_refresh(struct sockets *sockets);

/* How many sockets were found that existed before; -1: this kernel cannot tell (iterators: 5.12). */
int64_t sockets_found(const struct sockets *sockets);

/* What is known of a socket. 0; -ENOENT: nothing (any more). */
int sockets_find(const struct loader *loader, uint64_t cookie, struct socket_info *ret_socket);

/* Time spent in the programs, ns; 0 where it is not measured (kernel.bpf_stats_enabled). */
uint64_t sockets_run_ns(const struct sockets *sockets);
