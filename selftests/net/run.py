#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests with real traffic: run.py BUILD_DIR [--suite NAME]... [--match TEXT] [--quick] [--long] [--seed N]."""
import argparse
import glob
import importlib
import os
import random
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import harness  # pylint: disable=wrong-import-position


def arguments():
    parser = argparse.ArgumentParser(description="Sonde's tests with real traffic in network namespaces. Needs root.")
    parser.add_argument("build", help="the build directory, with sonde and sonde-sink")
    parser.add_argument("--suite", action="append", help="only this suite (test_<suite>.py), as often as needed")
    parser.add_argument("--match", default="", help="only tests with this text in their line")
    parser.add_argument("--quick", action="store_true", help="a minute's worth of them")
    parser.add_argument("--long", action="store_true", help="also those that take long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32),
                        help="of all that is random")
    parser.add_argument("--list", action="store_true", help="print the tests, run none")
    return parser.parse_args()


def load(suites):
    names = sorted(os.path.basename(path).removeprefix("test_").removesuffix(".py")
                   for path in glob.glob(os.path.join(HERE, "test_*.py")))
    for suite in suites or names:
        if suite not in names:
            sys.exit(f"run.py: no suite \"{suite}\"; there are: {', '.join(names)}")
        importlib.import_module("test_" + suite)
    return harness.TESTS


def close(stage):
    """What went wrong in taking it down, in lines."""
    try:
        stage.close()
        return []
    except Exception as error:
        return str(error).splitlines() or [repr(error)]


def attempt(run, test):
    """(result, reason of a skip, lines that explain a failure)"""
    stage = harness.Stage(run, test.title)
    result, reason, lines = "ok", "", []
    try:
        test.function(stage, *test.arguments)
    except harness.Skip as skip:
        result, reason = "skip", str(skip)
    except harness.Failure as failure:
        lines = str(failure).splitlines() + stage.logs()
    except Exception:  # a fault of the test is a failure, and the next one runs all the same
        lines = traceback.format_exc().splitlines() + stage.logs()
    finally:
        lines += close(stage)
    return ("not ok" if lines else result), reason, lines


def report(test, result, reason, lines, seconds):
    print(f"{result} {test.suite}: {test.title}{' # ' + reason if reason else ''} ({seconds:.1f} s)")
    print("".join(f"    {line}\n" for line in lines), end="", flush=True)


def main():
    options = arguments()
    tests = [test for test in load(options.suite) if options.match in f"{test.suite}: {test.title}"
             and (test.quick or not options.quick) and (options.long or not test.long)]
    if options.list:
        print("\n".join(f"{test.suite}: {test.title}" for test in tests))
        return 0
    if os.geteuid():
        print("0 passed, 0 failed, 1 skipped (only root can make network namespaces and load BPF programs)")
        return 0

    print(f"seed {options.seed}", flush=True)
    # A stop from outside takes down what the test under way has made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: stopped"))
    count = {"ok": 0, "not ok": 0, "skip": 0}
    run = harness.Run(options.build, options.seed)
    try:
        for test in tests:
            start = time.monotonic()
            result, reason, lines = attempt(run, test)
            count[result] += 1
            report(test, result, reason, lines, time.monotonic() - start)
    finally:
        run.close()
    print(f"{count['ok']} passed, {count['not ok']} failed, {count['skip']} skipped")
    return 1 if count["not ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
