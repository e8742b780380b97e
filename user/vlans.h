/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the programs which VLANs end on this host, so that their tags do not set flows apart: map `vlans`. */
#pragma once

#include "user/place.h"

/* Makes MAP hold what PLACES says, and nothing else. 0, or the first error after all was tried. */
int vlans_tell(int map, const struct places *places);
