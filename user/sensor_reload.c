// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include "user/filter.h"
#include "user/sensor_internal.h"

#define VALUE_MAX (FILTER_TEXT_MAX + 1) /* of a key, as text; the longest is the filter */

/* True: the value differs in the configuration that was read now. */
static bool differs(const struct settings *a, const struct settings *b, const char *prefix)
{
	for (size_t i = 0; i < settings_schema.n_keys; i++) {
		const struct config_key *key = &settings_schema.keys[i];
		if (strncmp(key->name, prefix, strlen(prefix)) == 0 && !config_equal(&settings_schema, key, a, b))
			return true;
	}
	return false;
}

/* Keys that cannot change while the sensor runs keep their old value, each with a line that says so. */
static void keep_fixed(const struct settings *running, struct settings *fresh)
{
	for (size_t i = 0; i < settings_schema.n_keys; i++) {
		const struct config_key *key = &settings_schema.keys[i];
		if (key->live || config_equal(&settings_schema, key, running, fresh))
			continue;
		log_warn("the key cannot change while the sensor runs, keeping the old value until a restart", "key",
		         key->name);
	}
}

static void report_changes(const struct settings *running, const struct settings *fresh)
{
	for (size_t i = 0; i < settings_schema.n_keys; i++) {
		const struct config_key *key = &settings_schema.keys[i];
		_cleanup_(buf_free) struct buf before = BUF_INIT(VALUE_MAX), after = BUF_INIT(VALUE_MAX);
		if (!key->live || config_equal(&settings_schema, key, running, fresh))
			continue;
		config_format(&settings_schema, key, running, &before);
		config_format(&settings_schema, key, fresh, &after);
		log_info("configuration changed", "key", key->name, "before", buf_text(&before), "after",
		         buf_text(&after));
	}
}

/* The programs ask for verdicts from when there are rules until there are none. */
static bool rules_begin_or_end(const struct settings *a, const struct settings *b)
{
	return !a->namespaces.n != !b->namespaces.n;
}

/* The programs first, since they may refuse; 0: everything that is live has been applied. */
static int apply(struct sensor *sensor, const struct settings *fresh)
{
	int r = fresh->namespaces.n ? sensor_namespaces_apply(sensor, &fresh->namespaces) : 0;
	if (r < 0)
		return r;
	if (differs(&sensor->settings, fresh, "packets.") || rules_begin_or_end(&sensor->settings, fresh)) {
		struct loader_options options = sensor_loader_options(fresh);
		options.flows_max = sensor->loader->maps.flows_max;
		options.ring_bytes = sensor->loader->maps.ring_bytes;
		options.config.idle_timeout_ns = sensor->settings.flows.idle_timeout;
		r = loader_reconfigure(sensor->loader, &options);
		if (r < 0) {
			log_error("the programs with the new sampling could not be loaded, keeping the old ones",
			          "error", LOG_ERRNO(r), "libbpf", loader_messages());
			return r;
		}
	} else if (differs(&sensor->settings, fresh, "filter")) {
		r = loader_set_filter(sensor->loader, fresh->filter);
		if (r < 0) {
			log_error("the new filter could not be loaded, keeping the old one", "error", LOG_ERRNO(r),
			          "libbpf", loader_messages());
			return r;
		}
	}
	if (differs(&sensor->settings, fresh, "filter"))
		sensor_tell_filter(sensor);
	if (!fresh->namespaces.n)
		sensor_namespaces_stop(sensor);
	if (differs(&sensor->settings, fresh, "interfaces.")) {
		r = ifaces_select(sensor->ifaces, &fresh->interfaces.include, &fresh->interfaces.exclude);
		if (r < 0) {
			log_error("the interface patterns could not be applied, keeping the old ones", "error",
			          LOG_ERRNO(r));
			return r;
		}
		/* Every interface is told anew, and attached or let go by the new patterns. */
		sensor->listed = false;
		ifaces_begin(sensor->ifaces);
		r = ifwatch_dump(sensor->watch);
		if (r < 0)
			log_warn("the interfaces could not be listed, the new patterns hold for new ones only", "error",
			         LOG_ERRNO(r));
	}
	return 0;
}

void sensor_reload(struct sensor *sensor)
{
	_cleanup_(buf_free) struct buf problems = BUF_INIT(65536);
	struct settings fresh;

	if (settings_load(&sensor->options.input, &fresh, &problems) < 0) {
		log_error("the new configuration is not valid, keeping the old one", "problems", buf_text(&problems));
		return;
	}
	keep_fixed(&sensor->settings, &fresh);
	if (apply(sensor, &fresh) == 0) {
		report_changes(&sensor->settings, &fresh);
		for (size_t i = 0; i < settings_schema.n_keys; i++)
			if (settings_schema.keys[i].live)
				config_swap(&settings_schema, &settings_schema.keys[i], &sensor->settings, &fresh);
		log_setup((enum log_level)sensor->settings.log.level, (enum log_format)sensor->settings.log.format);
	} else {
		sensor_namespaces_apply(sensor, &sensor->settings.namespaces);
	}
	/* Even where nothing changed in the file: certificates may have changed on disk. */
	struct ship_options options = sensor_ship_options(sensor, &sensor->settings);
	int r = ship_reload(sensor->ship, &options);
	if (r < 0)
		log_error("the connection's new settings could not be used, keeping the old ones", "error",
		          LOG_ERRNO(r));
	log_info("configuration read again");
	settings_free(&fresh);
}
