// SPDX-License-Identifier: Apache-2.0
/* Places: from what the kernel tells of links to what their hooks are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "user/buf.h"
#include "user/place.h"

#define LINKS_MAX 6

/* In the order of the rows, links have ifindex 1, 2, ...; the attached ones have iface_id 10 * ifindex. */
struct told {
	enum link_kind kind;
	bool attached;
	uint32_t master, lower; /* row numbers from 1 */
	enum hook_place place;
	uint32_t shown_as; /* iface_id in units of 10; 0: its own */
};

#define LINK_OF(k, ...)                                              \
	{                                                            \
		.kind = LINK_KIND_##k, .attached = true, __VA_ARGS__ \
	}
#define UNATTACHED(k, ...)                         \
	{                                          \
		.kind = LINK_KIND_##k, __VA_ARGS__ \
	}

static const struct {
	const char *name;
	struct told links[LINKS_MAX];
} cases[] = {
	{ "a NIC and a pod", { LINK_OF(OTHER), LINK_OF(VETH) } },
	{ "a bridge with its ports",
	  { LINK_OF(BRIDGE, .place = PLACE_UPPER), LINK_OF(VETH, .master = 1), LINK_OF(OTHER, .master = 1) } },
	{ "a bridge without ports", { LINK_OF(BRIDGE), LINK_OF(OTHER) } },
	{ "a bridge alone: no port is attached", { LINK_OF(BRIDGE), UNATTACHED(OTHER, .master = 1) } },
	{ "a bridge with one port of two",
	  { LINK_OF(BRIDGE, .place = PLACE_INNER), LINK_OF(OTHER, .master = 1), UNATTACHED(VETH, .master = 1) } },
	{ "a bond",
	  { LINK_OF(OTHER, .master = 3, .shown_as = 3), LINK_OF(OTHER, .master = 3, .shown_as = 3),
	    LINK_OF(BOND, .place = PLACE_UPPER) } },
	{ "a team", { LINK_OF(TEAM, .place = PLACE_UPPER), LINK_OF(OTHER, .master = 1, .shown_as = 1) } },
	{ "a bond that is not attached",
	  { UNATTACHED(BOND), LINK_OF(OTHER, .master = 1), LINK_OF(OTHER, .master = 1) } },
	{ "a bond below a bridge",
	  { LINK_OF(BRIDGE, .place = PLACE_UPPER), LINK_OF(BOND, .master = 1, .place = PLACE_UPPER),
	    LINK_OF(OTHER, .master = 2, .shown_as = 2) } },
	{ "a VRF", { LINK_OF(VRF, .place = PLACE_UPPER), LINK_OF(OTHER, .master = 1) } },
	{ "a VLAN device", { LINK_OF(OTHER), LINK_OF(VLAN, .lower = 1, .place = PLACE_UPPER) } },
	{ "a VLAN device alone", { UNATTACHED(OTHER), LINK_OF(VLAN, .lower = 1) } },
	{ "a VLAN device from elsewhere", { LINK_OF(VLAN), LINK_OF(OTHER) } },
	{ "macvlan and ipvlan",
	  { LINK_OF(OTHER), LINK_OF(MACVLAN, .lower = 1, .place = PLACE_INNER),
	    LINK_OF(IPVLAN, .lower = 1, .place = PLACE_INNER) } },
	{ "a veth with both ends here",
	  { LINK_OF(VETH, .lower = 2, .place = PLACE_INNER), LINK_OF(VETH, .lower = 1, .place = PLACE_INNER) } },
	{ "one end is not attached",
	  { LINK_OF(VETH, .lower = 2, .place = PLACE_INNER), UNATTACHED(VETH, .lower = 1) } },
	{ "the peer has left, and its number is another's", { LINK_OF(VETH, .lower = 2), LINK_OF(OTHER) } },
	{ "an ifb", { LINK_OF(IFB, .place = PLACE_INNER) } },
};

static struct link_info info_of(const struct told *told, uint32_t ifindex)
{
	return (struct link_info) {
		.ifindex = ifindex, .kind = told->kind, .master = told->master, .lower = told->lower
	};
}

static void test_places(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(places_freep) struct places *places = places_new();
		assert_non_null(places);
		for (uint32_t n = LINKS_MAX; n >= 1; n--) {
			struct link_info info = info_of(&cases[i].links[n - 1], n);
			assert_int_equal(places_set(places, &info, cases[i].links[n - 1].attached ? 10 * n : 0), 1);
		}
		for (uint32_t n = 1; n <= LINKS_MAX; n++) {
			const struct told *told = &cases[i].links[n - 1];
			struct place place = places_find(places, n);
			uint32_t id = !told->attached ? 0 : told->shown_as ? 10 * told->shown_as : 10 * n;
			if (told->attached && (place.place != told->place || place.iface_id != id))
				fail_msg("%s, link %u: place %u of %u, not %u of %u", cases[i].name, n, place.place,
				         place.iface_id, told->place, id);
		}
	}
}

static void test_changes(void **state)
{
	_cleanup_(places_freep) struct places *places = places_new();
	const struct link_info bridge = { .ifindex = 1, .kind = LINK_KIND_BRIDGE };
	struct link_info port = { .ifindex = 2 };

	assert_int_equal(places_set(places, &bridge, 10), 1);
	assert_int_equal(places_set(places, &port, 20), 1);
	assert_int_equal(places_find(places, 1).place, PLACE_EDGE);
	port.master = 1;
	assert_int_equal(places_set(places, &port, 20), 1);
	assert_int_equal(places_find(places, 1).place, PLACE_UPPER);
	assert_int_equal(places_set(places, &port, 20), 0);
	assert_int_equal(places_set(places, &port, 0), 1);
	assert_int_equal(places_find(places, 1).place, PLACE_EDGE);

	/* What is not told between begin and sweep is gone. */
	assert_int_equal(places_set(places, &port, 20), 1);
	places_begin(places);
	assert_int_equal(places_set(places, &bridge, 10), 0);
	assert_true(places_sweep(places));
	assert_false(places_sweep(places));
	assert_int_equal(places_find(places, 1).place, PLACE_EDGE);
	assert_true(places_remove(places, 1));
	assert_false(places_remove(places, 1));
	assert_int_equal(places_find(places, 1).iface_id, 0);
}

static void test_loopback(void **state)
{
	_cleanup_(places_freep) struct places *places = places_new();
	const struct link_info lo = { .ifindex = 1, .flags = IFF_LOOPBACK }, other = { .ifindex = 2 };

	assert_int_equal(places_set(places, &lo, 10), 1);
	assert_int_equal(places_set(places, &other, 20), 1);
	assert_int_equal(places_find(places, 1).place, PLACE_INNER);
	assert_true(places_find(places, 1).loops);
	assert_false(places_find(places, 2).loops);
}

static void write_vlan(uint32_t iface_id, uint16_t vid, uint16_t outer, void *data)
{
	buf_appendf(data, "%u:%u/%u ", iface_id, vid, outer);
}

static void test_vlans(void **state)
{
	static const struct link_info links[] = {
		{ .ifindex = 1 },
		{ .ifindex = 2, .kind = LINK_KIND_VLAN, .lower = 1, .vid = 100 },
		{ .ifindex = 3, .kind = LINK_KIND_VLAN, .lower = 2, .vid = 7 },  /* inside the other */
		{ .ifindex = 4, .kind = LINK_KIND_VLAN, .lower = 99, .vid = 8 }, /* of what nobody knows */
		{ .ifindex = 5, .kind = LINK_KIND_BOND },
		{ .ifindex = 6, .master = 5 },
		{ .ifindex = 7, .kind = LINK_KIND_VLAN, .lower = 5, .vid = 9 },
		{ .ifindex = 8, .kind = LINK_KIND_BRIDGE },
		{ .ifindex = 9, .master = 8 },
		{ .ifindex = 10, .kind = LINK_KIND_VLAN, .lower = 8, .vid = 10 },
	};
	static const char *const wanted[] = { "10:100/0 ", "20:7/0 ", "10:7/100 ", "50:9/0 ", "80:10/0 ", "90:10/0 " };
	_cleanup_(places_freep) struct places *places = places_new();
	_cleanup_(buf_free) struct buf text = BUF_INIT(1024);

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		assert_int_equal(places_set(places, &links[i], 10 * links[i].ifindex), 1);
	places_vlans(places, write_vlan, &text);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!strstr(buf_text(&text), wanted[i]))
			fail_msg("not told: %s; but: %s", wanted[i], buf_text(&text));
	/* The bond's is told for the bond and for its port, which are one. */
	assert_int_equal(strlen(buf_text(&text)), strlen("10:100/0 20:7/0 10:7/100 50:9/0 50:9/0 80:10/0 90:10/0 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_vlans),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
