# SPDX-License-Identifier: Apache-2.0
# What cmocka programs print one after the other (CMOCKA_MESSAGE_OUTPUT=TAP), each followed by a line
# "# exit STATUS NAME", is passed on and summed up: "N passed, N failed, N skipped". A program that ends early, or badly
# without a failed test, counts as one failed test more. cmocka writes "not ok" for skipped tests too, and gives whole
# groups no number.

{ print }

/^1\.\.[0-9]+$/ { planned += substr($0, 4) }

/^(not )?ok [0-9]+/ {
	seen++
	if (/^(not )?ok [0-9]+ # SKIP/)
		skipped++
	else if (/^ok/)
		passed++
	else {
		failed++
		n_bad++
	}
}

/^# exit / {
	if (seen != planned || !planned || ($3 != 0) != (n_bad > 0)) {
		failed++
		print "not ok - " $4 ": " seen + 0 " of " planned + 0 " tests run, exit status " $3
	}
	planned = seen = n_bad = 0
}

END { print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped" }
