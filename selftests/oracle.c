// SPDX-License-Identifier: Apache-2.0
#include <pcap/pcap.h>
#include <stdlib.h>
#include "selftests/oracle.h"

struct oracle {
	struct bpf_program program;
};

struct oracle *oracle_open(const char *expression, enum link_type link_type)
{
	struct oracle *oracle = calloc(1, sizeof(*oracle));
	pcap_t *handle = pcap_open_dead(link_type == LINK_ETHERNET ? DLT_EN10MB : DLT_RAW, 262144);
	if (!oracle || !handle)
		abort();
	int r = pcap_compile(handle, &oracle->program, expression, 1, PCAP_NETMASK_UNKNOWN);
	pcap_close(handle);
	if (r == 0)
		return oracle;
	free(oracle);
	return NULL;
}

void oracle_free(struct oracle *oracle)
{
	pcap_freecode(&oracle->program);
	free(oracle);
}

bool oracle_matches(const struct oracle *oracle, const uint8_t *frame, size_t size)
{
	const struct pcap_pkthdr header = { .caplen = (bpf_u_int32)size, .len = (bpf_u_int32)size };
	return pcap_offline_filter(&oracle->program, &header, frame) != 0;
}
