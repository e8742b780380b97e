/* SPDX-License-Identifier: Apache-2.0 */
/* What a URL in the sensor's configuration must be: checks as struct config_key takes them. "" passes: not set. */
#pragma once

#include "user/buf.h"

/* Each: 0, or -EINVAL with what is wrong appended to ERROR, behind the value. */
int settings_check_url(const char *value, struct buf *error);      /* backend.url */
int settings_check_pods_url(const char *value, struct buf *error); /* node.pods_url */
int settings_check_proxy(const char *value, struct buf *error);    /* backend.proxy */
