# SPDX-License-Identifier: Apache-2.0
"""Fragments that kernels make: each one counts, in the flow of the first."""
import socket

import tally
from harness import HOOKS, test

MTU = 1500
IP_HEADER = 20
PAYLOADS = [1472, 1473, 4000, 20000, 65507]  # of datagrams: the largest that needs no fragments, up to the largest there is


def sizes(payload):
    """The IP packets that a datagram becomes."""
    left, packets = payload + 8, []
    while left > MTU - IP_HEADER:
        room = (MTU - IP_HEADER) // 8 * 8
        packets.append(IP_HEADER + room)
        left -= room
    return [*packets, IP_HEADER + left]


def send(stage, source, destination, count):
    with stage.peer.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(source)
        for payload in PAYLOADS:
            for _ in range(count):
                sock.sendto(bytes(payload), destination)


@test(quick=True, variants=HOOKS)
def test_udp(stage, *options):
    """Datagrams up to the largest, cut up by the sender's kernel: one flow, to the packet and byte"""
    stage.routed_pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    source, destination = ("10.9.0.2", 7000), ("10.9.0.99", 7001)
    send(stage, source, destination, 3)
    expected = tally.Tally()
    for payload in PAYLOADS:
        for size in sizes(payload):
            expected.add((17, *source, *destination), 3, 3 * size)
    stage.wait_flows(sink, expected)
    stage.settled(sensor)
    sensor.stop()
    tally.of_records(sink.records()).require(expected, "flow records after the stop")
