# SPDX-License-Identifier: Apache-2.0
"""Captures made up of packets of every shape the parser knows, as files in pcap's own format."""
import logging
import random
import struct

logging.getLogger("scapy").setLevel(logging.ERROR)
# pylint: disable=wrong-import-position
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting)
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.layers.sctp import SCTP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

ETHERNET, RAW, SLL, NULL, SLL2 = 1, 101, 113, 0, 276


def write(path, link, packets):
    """packets: (time in ns, bytes, length on the wire)."""
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, link))
        for time, data, length in packets:
            file.write(struct.pack("=IIII", time // 10**9, time % 10**9, len(data), length) + data)


def address4(rng):
    return f"10.{rng.randrange(3)}.0.{rng.randrange(1, 9)}"


def address6(rng):
    return f"fd00::{rng.randrange(1, 9):x}"


def payload(rng, most=600):
    return Raw(rng.randbytes(rng.randrange(most)))


def ports(rng):
    return rng.choice([53, 80, 443, 5000, 40000 + rng.randrange(8)]), rng.choice([53, 80, 443, 40000 + rng.randrange(8)])


def transport(rng):
    sport, dport = ports(rng)
    return rng.choice([
        lambda: TCP(sport=sport, dport=dport, flags=rng.choice(["S", "SA", "A", "PA", "FA", "R"])) / payload(rng),
        lambda: TCP(sport=sport, dport=dport, flags="S", options=[("MSS", 1460), ("WScale", 7)]),
        lambda: UDP(sport=sport, dport=dport) / payload(rng),
        lambda: SCTP(sport=sport, dport=dport, tag=1) / payload(rng),
    ])()


def ipv4(rng, inner=None):
    options = [IPOption(b"\x01" * (4 * rng.randrange(1, 4)))] if rng.random() < 0.2 else []
    inner = inner or (ICMP(type=rng.choice([0, 8])) / payload(rng) if rng.random() < 0.2 else transport(rng))
    return IP(src=address4(rng), dst=address4(rng), options=options, id=rng.randrange(1, 65536)) / inner


def extensions(rng):
    chain = None
    for _ in range(rng.randrange(4)):
        header = rng.choice([IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting])()
        chain = header if chain is None else chain / header
    return chain


def ipv6(rng, inner=None):
    chain = extensions(rng) if inner is None else None
    inner = inner or (ICMPv6EchoRequest() / payload(rng) if rng.random() < 0.2 else transport(rng))
    return IPv6(src=address6(rng), dst=address6(rng)) / (chain / inner if chain is not None else inner)


def plain(rng):
    return ipv4(rng) if rng.random() < 0.6 else ipv6(rng)


def tunnel(rng):
    inner = plain(rng)
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / inner
    outer = ipv4 if rng.random() < 0.6 else ipv6
    return outer(rng, rng.choice([
        lambda: inner,
        lambda: GRE() / inner,
        lambda: GRE(key_present=1, key=rng.randrange(1000)) / inner,
        lambda: UDP(sport=rng.randrange(49152, 65536), dport=4789) / VXLAN(vni=rng.randrange(1000), flags=8) / frame,
        lambda: UDP(sport=rng.randrange(49152, 65536), dport=6081) / GENEVE(vni=rng.randrange(1000)) / frame,
    ])())


def quoted(rng):
    """An ICMP error, with the packet it is about."""
    return ipv4(rng, ICMP(type=3, code=1) / IP(bytes(IP(src=address4(rng), dst=address4(rng)) / UDP() / b"quoted")))


def fragments(rng):
    """In the order they were sent."""
    whole = bytes(UDP(sport=5000, dport=5001) / Raw(rng.randbytes(rng.randrange(1000, 3000))))
    source, destination, number = address4(rng), address4(rng), rng.randrange(1, 65536)
    v6 = rng.random() < 0.5
    for at in range(0, len(whole), 800):
        more = int(at + 800 < len(whole))
        if v6:
            yield (IPv6(src="fd00::1", dst="fd00::2", nh=44)
                   / IPv6ExtHdrFragment(nh=17, offset=at // 8, m=more, id=number) / Raw(whole[at:at + 800]))
        else:
            yield (IP(src=source, dst=destination, id=number, flags=more, frag=at // 8, proto=17)
                   / Raw(whole[at:at + 800]))


def groups(rng, count):
    """Packets that belong together: of one sender, one right after the other."""
    made = []
    while sum(map(len, made)) < count:
        shape = rng.random()
        if shape < 0.6:
            made.append([plain(rng)])
        elif shape < 0.8:
            made.append([tunnel(rng)])
        elif shape < 0.85:
            made.append([quoted(rng)])
        elif shape < 0.9:
            made.append(list(fragments(rng)))
        elif shape < 0.95:
            made.append([ipv4(rng, UDP(sport=9000, dport=9001) / Raw(rng.randbytes(rng.randrange(3600, 9000))))])
        else:
            made.append([ipv4(rng, UDP(sport=9002, dport=9003))])
    return made


def framed(link, packet, tags):
    """The packet's bytes behind the link header; None: a frame without IP."""
    kind = 0x0806 if packet is None else 0x86dd if isinstance(packet, IPv6) else 0x0800
    data = bytes(ARP(psrc="10.0.0.1", pdst="10.0.0.2") if packet is None else packet)
    if link == ETHERNET:
        head = bytes.fromhex("020000000002" "020000000001")
        for type_, vlan in tags:
            head += struct.pack("!HH", type_, vlan)
        return (head + struct.pack("!H", kind) + data).ljust(60, b"\0")
    if link == SLL:
        return struct.pack("!HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1", kind) + data
    if link == SLL2:
        return struct.pack("!HHIHBB8s", kind, 0, 3, 1, 0, 6, b"\2\0\0\0\0\1") + data
    if link == NULL:
        return struct.pack("<I", 30 if kind == 0x86dd else 2) + data
    return data


def make(path, link, seed, count=400, snaplen=65535):
    rng = random.Random(seed)
    time = 1767323045 * 10**9
    frames = []
    for group in groups(rng, count):
        if link not in (RAW, NULL) and rng.random() < 0.05:
            group = [None]
        tags = rng.choice([[], [], [], [(0x8100, rng.randrange(1, 4095))], [(0x88a8, 7), (0x8100, 42)]])
        # Pauses from nothing to beyond the idle timeout: generations of a flow.
        time += rng.choice([0, 1000, 10**6, 10**6, 10**8, 2 * 10**10 if rng.random() < 0.1 else 10**7])
        for packet in group:
            data = framed(link, packet, tags)
            frames.append((time, data[:snaplen], len(data)))
            time += 1000
    write(path, link, frames)
    return frames
