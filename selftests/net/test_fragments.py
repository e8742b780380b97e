# SPDX-License-Identifier: Apache-2.0
"""Fragments: each one counts, in the flow of the first, which alone has ports."""
import socket
import struct

import tally
from frames import MAC_A, MAC_B, Frame
from harness import HOOKS, test
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

# MTU, header of a packet, header of a fragment; datagrams: the largest that needs no fragments, ... the largest there is.
FAMILIES = {
    4: (1500, 20, 20, (1472, 1473, 4000, 20000, 65507)),
    6: (1280, 40, 48, (1232, 1233, 4000, 20000, 65527)),
}


def sizes(version, payload):
    """The IP packets that a datagram becomes."""
    mtu, whole, header, _ = FAMILIES[version]
    left, packets = payload + 8, []
    if left <= mtu - whole:
        return [whole + left]
    while left > mtu - header:
        room = (mtu - header) // 8 * 8
        packets.append(header + room)
        left -= room
    return [*packets, header + left]


def addressed_pair(stage, version):
    """v0 in "host" and p0 in "peer", whose packets to the address returned last cross the veth and end unanswered."""
    if version == 4:
        stage.routed_pair()
        return ("10.9.0.2", 7000), ("10.9.0.99", 7001)
    stage.pair()
    stage.peer.ip("link", "set", "p0", "mtu", str(FAMILIES[6][0]))
    stage.peer.address("p0", "fd09::2/64")
    stage.peer.neighbour("p0", "fd09::99", stage.host, "v0")
    return ("fd09::2", 7000), ("fd09::99", 7001)


VARIANTS = {f"IPv{version}, {hook}": (version, *options) for version in FAMILIES for hook, options in HOOKS.items()}


@test(quick=True, variants=VARIANTS)
def test_udp(stage, version, *options):
    """Datagrams up to the largest, cut up by the sender's kernel: one flow, to the packet and byte"""
    source, destination = addressed_pair(stage, version)
    sink, sensor = stage.sink(), stage.sensor(*options)
    expected = tally.Tally()
    with stage.peer.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(source)
        for payload in FAMILIES[version][-1]:
            for _ in range(3):
                sock.sendto(bytes(payload), destination)
            for size in sizes(version, payload):
                expected.add((17, *source, *destination), 3, 3 * size)
    stage.wait_transport(sink, expected)
    stage.settled(sensor)
    sensor.stop()
    tally.of_transport(sink.records()).require(expected, "flow records after the stop")


def crafted(version, identification, number, ports=(7000, 7001)):
    """Fragment NUMBER (0 to 2) of a datagram, and where it counts: PORTS are those of its flow."""
    source, destination = ("10.1.1.1", "10.1.1.2") if version == 4 else ("fd01::1", "fd01::2")
    more, offset = number < 2, number * 8
    data = bytes(64) if number else struct.pack("!HHHH", 7000, 7001, 192, 0) + bytes(56)
    if version == 4:
        ip = IP(src=source, dst=destination, proto=17, id=identification, flags=int(more), frag=offset)
    else:
        ip = IPv6(src=source, dst=destination) / IPv6ExtHdrFragment(nh=17, id=identification, m=more, offset=offset)
    ip = bytes(ip / Raw(data))
    return Frame(bytes(Ether(src=MAC_A, dst=MAC_B, type=0x800 if version == 4 else 0x86dd)) + ip, "observed",
                 (17, source, ports[0], destination, ports[1]), len(ip))


@test(variants={f"IPv{version}": (version,) for version in FAMILIES})
def test_first_lost(stage, version):
    """A first fragment that is lost or late: the others are a flow without ports, and nobody else's"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor()
    none = 0, 0
    frames = [
        *(crafted(version, 1, number) for number in (0, 1, 2)),
        *(crafted(version, 2, number, none) for number in (1, 2)),
        *(crafted(version, 3, number, none) for number in (2, 1)), crafted(version, 3, 0),
        # It is known from now on.
        crafted(version, 3, 1),
    ]
    stage.send(stage.peer, "p0", frames)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
