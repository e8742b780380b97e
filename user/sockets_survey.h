/* SPDX-License-Identifier: Apache-2.0 */
/* The walks over the sockets that exist (bpf/survey.bpf.c). */
#pragma once

#include <stdint.h>
#include "user/loader.h"

struct survey;

/*
 * Loads the walks over LOADER's maps; NULL: over maps of their own, to see whether this kernel has what they call. 0 or
 * -errno, nothing printed.
 */
int survey_open(const struct loader *loader, struct survey **ret_survey);
void survey_free(struct survey *survey);
DEFINE_CLEANUP(struct survey *, survey_free)

/* Finds the sockets that exist and are not known: how many, or -errno. */
int64_t survey_find(struct survey *survey);

/* Brings the health of all connections up to date. 0 or -errno. */
int survey_refresh(struct survey *survey);

/* Time spent in the walks' programs, ns; 0 where it is not measured (kernel.bpf_stats_enabled). */
uint64_t survey_run_ns(const struct survey *survey);
