# SPDX-License-Identifier: Apache-2.0
"""Through a tunnel: what is inside is the flow, its bytes are the inner packets', and the record tells of the outside."""
import socket
from collections import namedtuple

import tally
from frames import KINDS, MAC_A, MAC_B
from harness import HOOKS, Skip, test
from process import Failure
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from tcp import transfer

ETHERNET = 14
VNI, KEY = 0xabcdef, 0xfedcba98
OUTER = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}  # of "host", of "peer"
INNER = {4: ("10.20.0.1", "10.20.0.2"), 6: ("fd20::1", "fd20::2")}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def vxlan(stage, outer):
    """vx0 in "host" and vx1 in "peer", over v0 and p0, whose IP is of version OUTER; in them both versions."""
    stage.pair()
    ends = (stage.host, "v0", "vx0"), (stage.peer, "p0", "vx1")
    for n, (namespace, under, device) in enumerate(ends):
        namespace.address(under, OUTER[outer][n] + ("/24" if outer == 4 else "/64"))
        try:
            namespace.ip("link", "add", device, "type", "vxlan", "id", str(VNI), "dstport", "4789", "local",
                         OUTER[outer][n], "remote", OUTER[outer][1 - n], "dev", under)
        except RuntimeError as error:
            raise Skip(f"vxlan: {error}") from None
        namespace.ip("link", "set", device, "up")
        namespace.address(device, INNER[4][n] + "/24")
        namespace.address(device, INNER[6][n] + "/64")
    # No questions inside the tunnel: what is not IP there counts as the tunnel's own flow.
    for n, (namespace, under, device) in enumerate(ends):
        there, there_under, there_device = ends[1 - n]
        namespace.neighbour(under, OUTER[outer][1 - n], there, there_under)
        for version in INNER:
            namespace.neighbour(device, INNER[version][1 - n], there, there_device)


def check_outside(sink, key, kind, number, outer):
    """All records of a flow (its first direction is KEY) name the tunnel; OUTER: its ends as the source has them."""
    expected = kind, number, *outer
    records = [record for record in sink.records() if record["source.address"] == key[1]
               and record["destination.address"] == key[3] and record.get("source.port", 0) == key[2]]
    told = {tuple(record.get(f"sonde.tunnel.{name}") for name in ("type", "id", "source.address",
                                                                  "destination.address")) for record in records}
    if told != {expected}:
        raise Failure(f"{key} came through {told}, expected {expected}")


DEVICES = {f"IPv{inner} over IPv{outer}, {hook}": (inner, outer, *options)
           for inner, outer, hook, options in ((4, 4, "tcx", ()), (6, 4, "tcx", ()), (4, 6, "tcx", ()),
                                               (6, 6, "clsact", HOOKS["clsact"]))}


@test(quick=True, variants=DEVICES)
def test_device(stage, inner, outer, *options):
    """UDP both ways through a VXLAN device: under it are the inner flows, to the byte"""
    vxlan(stage, outer)
    sink, sensor = stage.sink(), stage.sensor(*options, interfaces__include=["v0"])
    (here, there), headers = INNER[inner], 28 if inner == 4 else 48
    expected = tally.Tally()
    with (stage.host.socket(FAMILY[inner], socket.SOCK_DGRAM) as near,
          stage.peer.socket(FAMILY[inner], socket.SOCK_DGRAM) as far):
        near.bind((here, 7000))
        far.bind((there, 7001))
        for sock, sender, receiver in (near, (here, 7000), (there, 7001)), (far, (there, 7001), (here, 7000)):
            for _ in range(100):
                size = stage.random.randrange(1300)
                sock.sendto(bytes(size), receiver)
                expected.add((17, *sender, *receiver), 1, size + headers)
    stage.wait_transport(sink, expected)
    stage.settled(sensor)
    check_outside(sink, (17, here, 7000, there, 7001), "vxlan", VNI, OUTER[outer])
    sensor.stop()
    tally.of_transport(sink.records()).require(expected, "flow records after the stop")


@test(variants=DEVICES)
def test_bulk(stage, inner, outer, *options):
    """Bulk TCP through a VXLAN device counts as the inner segments, and their bytes"""
    vxlan(stage, outer)
    for namespace in stage.host, stage.peer:
        namespace.sysctl("ipv4/tcp_sack", 0)  # an option of varying length
    sink, sensor = stage.sink(), stage.sensor(*options, interfaces__include=["v0"])
    (here, there), headers = INNER[inner], 52 if inner == 4 else 72
    sends, receives = 16 << 20, 12 << 20
    with (stage.peer.socket(FAMILY[inner], socket.SOCK_STREAM) as server,
          stage.host.socket(FAMILY[inner], socket.SOCK_STREAM) as client):
        server.bind((there, 5001))
        server.listen()
        client.connect((there, 5001))
        port = client.getsockname()[1]
        near, far = transfer(client, server, sends, receives)

    # Each segment has the timestamp option; SYN and SYN-ACK have eight more bytes of options.
    expected = tally.Tally()
    expected.add((6, here, port, there, 5001), near.segments_out, near.bytes_sent + near.segments_out * headers + 8)
    expected.add((6, there, 5001, here, port), near.segments_in, receives + near.segments_in * headers + 8)
    if far.retransmitted:
        raise Skip("a retransmission: nobody knows how much of it arrived twice")
    stage.wait_transport(sink, expected)
    stage.settled(sensor)
    check_outside(sink, (6, here, port, there, 5001), "vxlan", VNI, OUTER[outer])


# KIND and NUMBER as records have them; OUTER: IP's version outside. MAKE: what is around an inner packet, which begins with
# Ethernet where the tunnel is an Ethernet one.
Tunnel = namedtuple("Tunnel", "kind number outer make")


def _udp(port, header):
    return lambda inner, _: UDP(sport=50000, dport=port) / header / Raw(inner)


def _gre(**fields):
    return lambda inner, kind: GRE(proto=kind, **fields) / Raw(inner[ETHERNET:])


OPTIONS = bytes.fromhex("0102030112345678")  # eight bytes of Geneve's
TUNNELS = {
    "VXLAN with network 0": Tunnel("vxlan", 0, 4, _udp(4789, VXLAN(vni=0, flags="Instance"))),
    "VXLAN on Linux' port": Tunnel("vxlan", VNI, 4, _udp(8472, VXLAN(vni=VNI, flags="Instance"))),
    "Geneve": Tunnel("geneve", VNI, 4, _udp(6081, GENEVE(vni=VNI, proto=0x6558))),
    "Geneve with options over IPv6": Tunnel("geneve", 7, 6, _udp(6081, GENEVE(vni=7, proto=0x6558, optionlen=2)
                                                                 / Raw(OPTIONS))),
    "GRE": Tunnel("gre", None, 4, _gre()),
    "GRE with all fields": Tunnel("gre", KEY, 4, _gre(chksum_present=1, key_present=1, seqnum_present=1, key=KEY)),
    "GRE with Ethernet over IPv6": Tunnel("gre", KEY, 6, lambda inner, _: GRE(proto=0x6558, key_present=1, key=KEY)
                                          / Raw(inner)),
    "IP in IP": Tunnel("ipip", None, 4, lambda inner, _: Raw(inner[ETHERNET:])),
    "IP in IPv6": Tunnel("ipip", None, 6, lambda inner, _: Raw(inner[ETHERNET:])),
}


def through(tunnel, frame, reply):
    """FRAME in a tunnel, whose other end sends replies; it counts as what it was."""
    source, destination = reversed(OUTER[tunnel.outer]) if reply else OUTER[tunnel.outer]
    kind = int.from_bytes(frame.data[ETHERNET - 2:ETHERNET])
    packet = tunnel.make(frame.data, kind)
    protocol = {UDP: 17, GRE: 47}.get(type(packet), 4 if kind == 0x800 else 41)
    if tunnel.outer == 4:
        ip = IP(src=source, dst=destination, proto=protocol)
    else:
        ip = IPv6(src=source, dst=destination, nh=protocol)
    return frame._replace(data=bytes(Ether(src=MAC_A, dst=MAC_B) / ip / packet))


@test(quick=True, variants={name: (tunnel,) for name, tunnel in TUNNELS.items()})
def test_crafted(stage, tunnel):
    """Requests and replies of each kind in tunnels that this kernel may not have, also from AF_PACKET's ring"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor()
    expected, requests = tally.Tally(), []
    for n, name in enumerate(("udp4", "tcp4", "udp6", "tcp6", "options4", "extensions6", "icmp4"), 1):
        request, answer = (through(tunnel, KINDS[name](n, reply, 10 * n), reply) for reply in (False, True))
        stage.send(stage.peer, "p0", [request] * 5)
        stage.blasted(stage.blast(stage.peer, "ring", "p0", 20, request.data.hex()))
        stage.send(stage.host, "v0", [answer] * 3)
        expected.add(request.key, 25, 25 * request.bytes)
        expected.add(answer.key, 3, 3 * answer.bytes)
        requests.append(request)
    stage.wait_flows(sink, expected)
    stage.settled(sensor)
    for request in requests:
        check_outside(sink, request.key, tunnel.kind, tunnel.number, OUTER[tunnel.outer])
