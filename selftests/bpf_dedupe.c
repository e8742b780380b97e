// SPDX-License-Identifier: Apache-2.0
/* Dedupe: a packet that passes several hooks counts at one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "selftests/row.h"

#define SYN    PKT(ETH, IP4(), TCP(.flags = TH_SYN))
#define ACK    PKT(ETH, IP4(), TCP())
#define ANSWER PKT(ETH, IP4(REPLY), TCP(REPLY))

static void test_hooks(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "the first hook on the way",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        POD_IN },
	      { "the second",
	        SYN,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        NIC_OUT },
	      { "out where it came in",
	        SYN,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        POD_OUT },
	      { "the answer's first hook",
	        ANSWER,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 A)" },
	        NIC_IN },
	      { "the answer's second",
	        ANSWER,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 A)" },
	        POD_OUT },
	      { "the owner goes on",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 80 SA) -> 10.0.0.2:443 (1 40 A)" },
	        POD_IN });
}

static void test_takeover(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "one uplink", ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" }, NIC_OUT },
	      { "a packet that waited in a queue",
	        ACK,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)" },
	        POD_OUT,
	        .after_ms = 60 },
	      { "the owner's silence is long: it moved",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" },
	        POD_OUT,
	        .after_ms = 100 },
	      { "the former owner has lost it",
	        ACK,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" },
	        NIC_OUT },
	      { "an owner's silence alone does no harm",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 A) -> 10.0.0.2:443 (0 0)" },
	        POD_OUT,
	        .after_ms = 5000 },
	      { "the other direction has its own owner",
	        ANSWER,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 A) -> 10.0.0.2:443 (1 40 A)" },
	        NIC_OUT },
	      { "and does not keep this one's alive",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (4 160 A) -> 10.0.0.2:443 (1 40 A)" },
	        NIC_IN,
	        .after_ms = 100 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_takeover),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
