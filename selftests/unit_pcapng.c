// SPDX-License-Identifier: Apache-2.0
/* The pcapng writer, byte for byte against the specification, and read back by a reader of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "user/pcapng.h"

static uint32_t u32(const struct buf *buf, size_t at)
{
	uint32_t value;
	assert_true(at + 4 <= buf->size);
	memcpy(&value, buf->data + at, 4);
	return value;
}

static uint16_t u16(const struct buf *buf, size_t at)
{
	uint16_t value;
	assert_true(at + 2 <= buf->size);
	memcpy(&value, buf->data + at, 2);
	return value;
}

/* Checks the frame of the block at AT, and returns where the next one begins. */
static size_t expect_block(const struct buf *buf, size_t at, uint32_t type)
{
	uint32_t size = u32(buf, at + 4);
	assert_int_equal(u32(buf, at), type);
	assert_int_equal(size % 4, 0);
	assert_int_equal(u32(buf, at + size - 4), size);
	return at + size;
}

/* Finds an option from AT on; returns where its value is, or 0. The options' end must be where END is. */
static size_t find_option(const struct buf *buf, size_t at, size_t end, uint16_t code, uint16_t *ret_size)
{
	size_t found = 0;
	for (;;) {
		uint16_t this_code = u16(buf, at), size = u16(buf, at + 2);
		if (this_code == 0) {
			assert_int_equal(size, 0);
			assert_int_equal(at + 4, end);
			return found;
		}
		if (this_code == code) {
			found = at + 4;
			*ret_size = size;
		}
		at += 4 + (size + 3u) / 4 * 4;
		assert_true(at < end);
	}
}

static void expect_text(const struct buf *buf, size_t at, size_t end, uint16_t code, const char *text)
{
	uint16_t size = 0;
	size_t value = find_option(buf, at, end, code, &size);
	assert_true(value);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(buf->data + value, text, size);
}

static void test_section(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	assert_int_equal(pcapng_put_section(&out, "sonde"), 0);
	size_t end = expect_block(&out, 0, 0x0a0d0d0a);
	assert_int_equal(end, out.size);
	assert_int_equal(u32(&out, 8), 0x1a2b3c4d);
	assert_int_equal(u16(&out, 12), 1);
	assert_int_equal(u16(&out, 14), 0);
	assert_int_equal(u32(&out, 16), UINT32_MAX);
	assert_int_equal(u32(&out, 20), UINT32_MAX);
	expect_text(&out, 24, end - 4, 4, "sonde");
}

static void test_interface(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct pcapng_interface interface = { "eth0", "node-a", PCAPNG_RAW_IP, 256 };
	assert_int_equal(pcapng_put_interface(&out, &interface), 0);
	size_t end = expect_block(&out, 0, 1);
	assert_int_equal(end, out.size);
	assert_int_equal(u16(&out, 8), 101);
	assert_int_equal(u16(&out, 10), 0);
	assert_int_equal(u32(&out, 12), 256);
	expect_text(&out, 16, end - 4, 2, "eth0");
	expect_text(&out, 16, end - 4, 3, "node-a");
	uint16_t size = 0;
	size_t resolution = find_option(&out, 16, end - 4, 9, &size);
	assert_int_equal(size, 1);
	assert_int_equal(out.data[resolution], 9);
}

static void test_packet(void **state)
{
	/* Each length of data and comment modulo 4: the padding is right, and zero. */
	for (uint32_t n = 0; n < 8; n++) {
		char comment[8] = "";
		memset(comment, 'c', n);
		_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
		struct pcapng_packet packet = {
			.interface = 3,
			.direction = PCAPNG_OUTBOUND,
			.time_ns = 0x0123456789abcdef,
			.original_length = 1514,
			.captured_length = n,
			.data = "\xff\xff\xff\xff\xff\xff\xff\xff",
			.comment = comment,
		};
		assert_int_equal(pcapng_put_packet(&out, &packet), 0);
		size_t end = expect_block(&out, 0, 6);
		assert_int_equal(end, out.size);
		assert_int_equal(u32(&out, 8), 3);
		assert_int_equal(u32(&out, 12), 0x01234567);
		assert_int_equal(u32(&out, 16), 0x89abcdef);
		assert_int_equal(u32(&out, 20), n);
		assert_int_equal(u32(&out, 24), 1514);
		for (uint32_t i = 0; i < (n + 3) / 4 * 4; i++)
			assert_int_equal((unsigned char)out.data[28 + i], i < n ? 0xff : 0);

		size_t options = 28 + (n + 3) / 4 * 4;
		uint16_t size = 0;
		size_t flags = find_option(&out, options, end - 4, 2, &size);
		assert_int_equal(size, 4);
		assert_int_equal(u32(&out, flags), 2);
		if (n)
			expect_text(&out, options, end - 4, 1, comment);
		else
			assert_int_equal(find_option(&out, options, end - 4, 1, &size), 0);
	}
}

static void test_bare_packet(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct pcapng_packet packet = { .captured_length = 1, .original_length = 1, .data = "x" };
	assert_int_equal(pcapng_put_packet(&out, &packet), 0);
	assert_int_equal(expect_block(&out, 0, 6), out.size);
	assert_int_equal(out.size, 28 + 4 + 4); /* no options, and so no end of options */
}

static void test_bounds(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(100);
	struct pcapng_packet packet = { .captured_length = 60, .original_length = 60 };
	char data[60] = { 0 };
	packet.data = data;
	assert_int_equal(pcapng_put_section(&out, NULL), 0);
	size_t before = out.size;
	assert_int_equal(pcapng_put_packet(&out, &packet), -EFBIG);
	assert_int_equal(out.size, before);

	packet.captured_length = PCAPNG_PACKET_MAX + 1;
	assert_int_equal(pcapng_put_packet(&out, &packet), -EINVAL);
}

static void test_long_text(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
	char text[PCAPNG_TEXT_MAX + 100];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(pcapng_put_interface(&out, &(struct pcapng_interface) { .name = text, .link_type = 1 }), 0);
	size_t end = expect_block(&out, 0, 1);
	uint16_t size = 0;
	assert_true(find_option(&out, 16, end - 4, 2, &size));
	assert_int_equal(size, PCAPNG_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_section),     cmocka_unit_test(test_interface), cmocka_unit_test(test_packet),
		cmocka_unit_test(test_bare_packet), cmocka_unit_test(test_bounds),    cmocka_unit_test(test_long_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
