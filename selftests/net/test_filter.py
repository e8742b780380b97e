# SPDX-License-Identifier: Apache-2.0
"""The filter on real interfaces: tags beside the frame, headers outside the linear area, swaps under traffic."""
import contextlib
import os
import struct
from collections import Counter

import kernel
from frames import MAC_A, MAC_B, udp_frame
from harness import HOOKS, test
from process import Failure, wait_until

SWAPS = int(os.environ.get("FILTER_SWAPS", "200"))
SHORT = bytes.fromhex((MAC_B + MAC_A).replace(":", ""))


def quoted(expression):
    return f'"{expression}"'


def ingress(sensor):
    """The books of the hook that packets from the peer come to; reasons without a packet are 0."""
    hook = sensor.interface("v0")["ingress"]
    return {**hook, "skipped": Counter(hook["skipped"])}


def tagged(frame, *tags):
    """The frame with tags (TPID, TCI), as a peer sends it; the receiving kernel keeps the first one beside the frame."""
    return frame.data[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + frame.data[12:]


UDP = udp_frame(1, 1000, 30)
SENT = {
    "plain": UDP.data,
    "vlan 5": tagged(UDP, (0x8100, 5)),
    "vlan 5 with priority": tagged(UDP, (0x8100, 0xe005)),
    "vlan 6": tagged(UDP, (0x8100, 6)),
    "802.1ad 5": tagged(UDP, (0x88a8, 5)),
    "vlan 5, 6": tagged(UDP, (0x8100, 5), (0x8100, 6)),
}
VLAN_5 = {"vlan 5", "vlan 5 with priority", "802.1ad 5", "vlan 5, 6"}
MATCHES = {
    "vlan": set(SENT) - {"plain"},
    "vlan 5": VLAN_5,
    "not vlan": {"plain"},
    "vlan 5 and udp": VLAN_5 - {"vlan 5, 6"},
    "vlan 5 and vlan 6 and udp src port 1000": {"vlan 5, 6"},
    "udp port 9": {"plain"},
    "vlan 5 and src port 1000 and dst port 9": VLAN_5 - {"vlan 5, 6"},
    "ether[14:2] = 0xe005": {"vlan 5 with priority"},
    "ether[12:4] = 0x81000005": {"vlan 5", "vlan 5, 6"},
    "ether[10:4] = 0x000b88a8 or ether[10:4] = 0x000a88a8": {"802.1ad 5"},  # begins before the tag
    "ether[14:4] = 0x00060800": {"vlan 6"},  # ends behind it
    "ether[ether[14] + 13:4] = 0x00000508": {"vlan 5"},  # the offset is not a constant
    f"len = {len(UDP.data) + 4}": {"vlan 5", "vlan 5 with priority", "vlan 6", "802.1ad 5"},
    "ether dst host 02:00:00:00:00:0b or ether dst host 02:00:00:00:00:0a": set(SENT),
}


@test(quick=True, variants=HOOKS)
def test_tags(stage, *options):
    """A tag in the metadata is where a tap on the wire would see it"""
    stage.pair()
    stage.sink()
    sensor = stage.sensor(*options)
    for expression, expected in MATCHES.items():
        sensor.reload(filter=quoted(expression))
        matched = set()
        with contextlib.closing(stage.peer.raw("p0")) as sock:
            for name, data in SENT.items():
                before = ingress(sensor)
                sock.send(data)
                after = wait_until(lambda: (now := ingress(sensor))["seen"] > before["seen"] and now,
                                   lambda: f"{name} to be seen")
                if after["skipped"]["filtered"] == before["skipped"]["filtered"]:
                    matched.add(name)
        if matched != expected:
            raise Failure(f"{expression}: matched {sorted(matched)} instead of {sorted(expected)}")


@test(quick=True)
def test_outside_linear(stage):
    """Headers outside the linear area are read all the same"""
    stage.pair()
    stage.sink()
    sensor = stage.sensor(filter=quoted("ip host 10.1.1.1 and udp src port 1000 and len > 40"))
    for n, port in enumerate((1000, 1001), 1):
        before = ingress(sensor)
        stage.blasted(stage.blast(stage.peer, "ring", "p0", 100, udp_frame(1, port, 30).data.hex()))
        wait_until(lambda: ingress(sensor)["seen"] == 100 * n, "100 packets to be seen")
        filtered = ingress(sensor)["skipped"]["filtered"] - before["skipped"]["filtered"]
        if filtered != (0 if port == 1000 else 100):
            raise Failure(f"source port {port}: {filtered} of 100 packets filtered")


@test(quick=True)
def test_refused(stage):
    """A bad expression on SIGHUP keeps the old one and says what is wrong, where"""
    stage.pair()
    stage.sink()
    sensor = stage.sensor(filter=quoted("udp port 9"))
    for expression, reason in (("udp prt 9", "character 5"), ("udp and inbound", "character 9")):
        lines = sensor.reload(filter=quoted(expression))
        if not any("level=error" in line and "keeping the old one" in line and "filter" in line and reason in line
                   for line in lines):
            raise Failure(f"{expression} is not told: {lines}")
    stage.send(stage.peer, "p0", [UDP] * 5)
    wait_until(lambda: ingress(sensor)["seen"] == 5, "the packets to be seen")
    if ingress(sensor)["observed"] != 5:
        raise Failure(f"the old filter is gone: {ingress(sensor)}")


@test(variants=HOOKS)
def test_swaps(stage, *options):
    """Swapped under traffic: every packet has one verdict, and a program behind ours sees them all"""
    stage.routed_pair()
    expressions = [quoted(text) for text in ("udp src port 1000", "udp src port 1001", "", "not udp")]
    with contextlib.closing(kernel.Counter()) as counter, contextlib.closing(stage.peer.raw("p0")) as sock:
        stage.sink()
        sensor = stage.sensor(*options, log__level="info")
        counter.attach_tcx(stage.host, "v0", "ingress")
        sender = stage.blast(stage.peer, "udp", "10.9.0.2", 1000, "10.9.0.99", 9, 0, 40, 20000, "any")
        short = 0
        for n in range(SWAPS):
            sensor.reload(filter=expressions[n % len(expressions)])
            for size in 0, 1, 20:
                sock.send(SHORT + struct.pack("!H", 0x0800 if n % 2 else 0x88b5) + bytes(size))
                short += 1
        sent = stage.blasted(sender, stop=True) + short
        wait_until(lambda: counter.count() == sent, lambda: f"{sent} packets behind us; there were {counter.count()}")
    hook = ingress(sensor)
    judged = hook["observed"] + sum(hook["skipped"].values())
    if hook["seen"] != sent or judged != sent:
        raise Failure(f"{sent} packets sent, {hook['seen']} seen, {judged} judged: {hook}")
    if hook["skipped"]["error"] or not hook["observed"] or not hook["skipped"]["filtered"]:
        raise Failure(f"the filters did not take turns: {hook}")
