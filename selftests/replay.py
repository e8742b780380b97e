#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
`sonde replay` against tshark: replay.py BUILD_DIR [--seed N] [--captures DIR] [--table]. Each capture is read by both; every
flow must have the same packets and bytes in each direction. Where tshark's plain reading and the sensor's rules differ,
the rule that says so is named and counted; a difference without a rule fails. Prints a line a check, ends with the count.
"""
import argparse
import collections
import glob
import ipaddress
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

import replay_captures as captures
import replay_tshark as tshark
import sink_harness as harness
from sink_harness import check

LINKS = {"ethernet": captures.ETHERNET, "raw": captures.RAW, "sll": captures.SLL, "sll2": captures.SLL2,
         "null": captures.NULL}
VERDICTS = {"observed", "filtered", "namespace", "self", "duplicate", "not_ip", "malformed", "unsupported", "error"}


class Replay:
    def __init__(self, sonde):
        self.sonde = sonde

    def run(self, *arguments):
        return subprocess.run([self.sonde, "replay", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, timeout=120)

    def json(self, path, *arguments):
        """What was printed, and how it ended; None: nothing was printed."""
        process = self.run("--json", *arguments, path)
        text = process.stdout.decode()
        return json.loads(text) if text else None, process


def directed(result):
    """The flows as tshark.flows has them: generations and segments of a tuple together."""
    totals = collections.defaultdict(lambda: [0, 0])
    for flow in result["flows"]:
        ends = [(ipaddress.ip_address(flow[end + ".address"]), flow.get(end + ".port", 0))
                for end in ("source", "destination")]
        for end, other, name in (ends[0], ends[1], "source"), (ends[1], ends[0], "destination"):
            if flow[name + ".packets"]:
                total = totals[(int(flow["network.iana_number"]), *end, *other)]
                total[0] += flow[name + ".packets"]
                total[1] += flow[name + ".bytes"]
    return dict(totals)


class Table:
    """Agreement over many captures."""

    def __init__(self):
        self.captures = self.packets = self.flows = self.unread = 0
        self.categories = collections.defaultdict(lambda: [0, set()])

    def add(self, path, found, flows):
        self.captures += 1
        self.packets += len(found)
        self.flows += flows
        for packet in found:
            if packet.category is not None:
                self.categories[packet.category][0] += 1
                self.categories[packet.category][1].add(path)

    def show(self):
        print(f"# {self.captures} captures, {self.packets} packets, {self.flows} directed flows compared; "
              f"{self.unread} captures of other link types")
        for category, (packets, paths) in sorted(self.categories.items()):
            print(f"# {packets:6} packets in {len(paths):3} captures: {category}")


def compare(replay, path, table, what):
    """One capture. True: everything agrees."""
    result, process = replay.json(path)
    if process.returncode < 0 or process.returncode > 1:
        return check(False, what + ": it ends with 0 or 1", (process.returncode, process.stderr))
    if result is None:
        table.unread += 1
        reason = process.stderr.decode()
        return check("link type" in reason or "magic" in reason or "truncated" in reason or "file" in reason,
                     what + ": what cannot be read is refused with a reason", reason)
    balanced = sum(result["verdicts"].values()) == result["packets"] and set(result["verdicts"]) == VERDICTS
    balanced = balanced and not result["verdicts"]["error"]
    found = tshark.packets(path)[:result["packets"]]
    ours, theirs = directed(result), tshark.flows(found, "expected")
    table.add(path, found, len(theirs))
    differences = [f"{key}: {ours.get(key)}, tshark {theirs.get(key)}" for key in {**ours, **theirs}
                   if ours.get(key) != theirs.get(key)]
    unnamed = [packet for packet in found if packet.category == ""]
    same = len(found) == result["packets"]
    return check(balanced and same and not differences and not unnamed,
                 f"{what}: {result['packets']} packets, {len(theirs)} directed flows",
                 (result["verdicts"], result["packets"], len(found), differences[:6], unnamed[:3]))


def test_generated(replay, work, seed):
    table = Table()
    for name, link in LINKS.items():
        path = os.path.join(work, name + ".pcap")
        captures.make(path, link, f"{seed} {name}")
        compare(replay, path, table, "made up, " + name)
        # Long enough for the header of a tunnel: of less, tshark tells too little to hold against the parser.
        captures.make(path, link, f"{seed} {name} cut", snaplen=random.Random(seed).randrange(60, 120))
        compare(replay, path, table, "made up and cut when captured, " + name)
    captures.make(path, captures.ETHERNET, f"{seed} pcapng")
    subprocess.run(["editcap", "-F", "pcapng", path, path + "ng"], check=True)
    compare(replay, path + "ng", table, "made up, pcapng")
    table.show()


def test_directory(replay, directory):
    table = Table()
    for path in sorted(glob.glob(os.path.join(directory, "**", "*"), recursive=True)):
        if os.path.isfile(path):
            compare(replay, path, table, os.path.relpath(path, directory))
    check(table.captures > 0, "there are captures in " + directory)
    table.show()


def test_short(replay, work):
    """Frames of every length, most of which no test run takes."""
    packet = bytes(captures.IP(src="10.0.0.1", dst="10.0.0.2") / captures.UDP(sport=5000, dport=5001) / bytes(40))
    for name, head, link in ("ethernet", bytes(12) + b"\x08\0", captures.ETHERNET), ("raw", b"", captures.RAW):
        path = os.path.join(work, "short-" + name)
        frames = []
        for size in range(1, 81):
            size_ip = max(0, size - len(head))
            body = packet[:2] + struct.pack("!H", size_ip) + packet[4:]
            body = body[:24] + struct.pack("!H", max(8, size_ip - 20)) + body[26:]
            frames.append((1767323045 * 10**9 + size, (head + body)[:size], size))
        captures.write(path, link, frames)
        whole = [size - len(head) for size in range(1, 81) if size - len(head) >= 28]
        for arguments, passed in ((), True), (("--set", "filter=udp port 5001"), True), (("--set", "filter=tcp"), False):
            result, process = replay.json(path, *arguments)
            verdicts, flows = result["verdicts"], result["flows"]
            totals = [sum(flow["source.packets"] for flow in flows), sum(flow["source.bytes"] for flow in flows)]
            expected = [len(whole), sum(whole)] if passed else [0, 0]
            kinds = verdicts["observed"] + verdicts["malformed"] + verdicts["filtered"]
            check(totals == expected and kinds == 80 and verdicts["observed"] == expected[0],
                  f"frames of 1 to 80 bytes, {name}, {arguments[1:] or 'no filter'}", (totals, expected, verdicts))


def test_filter(replay, work, seed):
    path = os.path.join(work, "filter.pcap")
    frames = captures.make(path, captures.ETHERNET, f"{seed} filter")
    for expression, matches in (("greater 1500", lambda data, length: length >= 1500),
                                ("greater 5000", lambda data, length: length >= 5000),
                                ("less 100", lambda data, length: length <= 100),
                                ("arp", lambda data, length: data[12:14] == b"\x08\x06"),
                                ("ip[8] = 64", lambda data, length: data[12:14] == b"\x08\0" and data[22] == 64)):
        result, process = replay.json(path, "--set", "filter=" + expression)
        count = sum(matches(data, length) for _, data, length in frames)
        check(result and result["packets"] - result["verdicts"]["filtered"] == count,
              f"filter \"{expression}\": what is not filtered is what it matches", (result and result["verdicts"], count))
    cooked = os.path.join(work, "cooked.pcap")
    captures.make(cooked, captures.SLL, f"{seed} cooked")
    result, process = replay.json(cooked, "--set", "filter=arp")
    check(result["verdicts"]["not_ip"] > 0 and not result["verdicts"]["observed"], "a cooked frame of ARP is one to a filter",
          result["verdicts"])


def test_time(replay, work):
    """Generations by the capture's clock, times as they were, frames out of order, and files in the order of time."""
    packet = bytes(captures.Ether(type=0x800) / captures.IP(src="10.0.0.1", dst="10.0.0.2") / captures.UDP(sport=1, dport=2))
    second, start = 10**9, 1000 * 10**9
    paths = [os.path.join(work, f"time-{i}") for i in range(2)]
    captures.write(paths[0], captures.ETHERNET, [(start + at * second, packet, 42) for at in (0, 5, 3, 4)])
    captures.write(paths[1], captures.ETHERNET, [(start + at * second, packet, 42) for at in (100, 101)])
    result = json.loads(replay.run("--json", paths[1], paths[0]).stdout)
    flows = sorted(result["flows"], key=lambda flow: flow["sonde.flow.start"])
    seen = [(flow["source.packets"], flow["sonde.flow.generation"], (flow["sonde.flow.start"] - start) // second,
             (flow["sonde.flow.end"] - start) // second) for flow in flows]
    check(seen in ([(4, 1, 0, 5), (2, 2, 100, 101)], [(4, 1, 0, 5), (2, 1, 100, 101)]),
          "two conversations, 95 seconds apart, from two files", seen)
    captures.write(paths[0], captures.ETHERNET, [(0, packet, 42), (0, packet, 42)])
    result, _ = replay.json(paths[0])
    check(result["verdicts"]["observed"] == 2 and len(result["flows"]) == 1, "a capture without times", result["flows"])


def test_samples(replay, work):
    path = os.path.join(work, "samples")
    packet = bytes(captures.Ether(type=0x800) / captures.IP(src="10.0.0.1", dst="10.0.0.2")
                   / captures.UDP(sport=4000, dport=4001) / bytes(158))
    captures.write(path, captures.ETHERNET, [(10**18 + at, packet, 200) for at in range(20)])
    result, _ = replay.json(path, "--set", "packets.head_bytes=1000", "--set", "packets.snaplen=96")
    check((result["samples"], result["sampled_bytes"]) == (6, 6 * 96), "the head of a direction, to snaplen",
          (result["samples"], result["sampled_bytes"]))
    result, _ = replay.json(path, "--set", "packets.enabled=false")
    check(result["samples"] == 0 and result["verdicts"]["observed"] == 20, "no samples where they are turned off")


def test_usage(replay, work):
    path = os.path.join(work, "usage")
    captures.make(path, captures.ETHERNET, "usage", 20)
    check(replay.run().returncode == 2, "without a file: wrong usage")
    check(replay.run(path, "--set", "filter=tcp port").returncode == 2, "a bad filter: wrong configuration")
    check(replay.run(path + "-missing").returncode == 1, "a file that is not there")
    whole = replay.run(path)
    check(whole.returncode == 0 and b"observed" in whole.stdout and b"ended by" in whole.stdout, "text for people",
          whole.stdout)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data[:-1])
    result, process = replay.json(path)
    check(process.returncode == 1 and result["packets"] > 0 and b"counts" in process.stderr,
          "a file that breaks off: what was read is printed, the exit code tells", process.stderr)
    captures.write(path, 147, [])
    process = replay.run(path)
    check(process.returncode == 1 and b"link type" in process.stderr, "another link type is refused", process.stderr)


def test_private(replay, work):
    """Nothing is pinned, and nobody else's pins are asked for: there is no BPF file system to do that in."""
    path = os.path.join(work, "private")
    captures.make(path, captures.ETHERNET, "private", 20)
    command = 'while umount /sys/fs/bpf 2>/dev/null; do :; done; ! grep -q " /sys/fs/bpf " /proc/self/mounts && exec "$@"'
    process = subprocess.run(["unshare", "-m", "sh", "-c", command, "sh", replay.sonde, "replay", path],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(process.returncode == 0, "it runs without a BPF file system", process.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seed", default=str(random.randrange(2**32)))
    parser.add_argument("--captures", help="a directory of captures to compare, too")
    options = parser.parse_args()
    print("# seed", options.seed)
    replay = Replay(os.path.join(options.build, "sonde"))
    work = tempfile.mkdtemp(prefix="sonde-replay-")
    try:
        test_usage(replay, work)
        test_short(replay, work)
        test_time(replay, work)
        test_samples(replay, work)
        test_filter(replay, work, options.seed)
        test_generated(replay, work, options.seed)
        test_private(replay, work)
        if options.captures:
            test_directory(replay, options.captures)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{harness.passed} passed, {harness.failed} failed")
    return 1 if harness.failed else 0


if __name__ == "__main__":
    sys.exit(main())
