# SPDX-License-Identifier: Apache-2.0
"""Crafted frames of each kind, each with the verdict that it must get and what it must count as."""
import logging
import socket
import struct
from collections import namedtuple

logging.getLogger("scapy").setLevel(logging.ERROR)
# pylint: disable=wrong-import-position
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Raw

# One frame: KEY is the directed flow (protocol number, source, port, destination, port), None unless it is observed;
# BYTES counts from the IP header on, as the IP header claims.
Frame = namedtuple("Frame", "data verdict key bytes")

MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
_UDP_LINK = bytes(Ether(src=MAC_A, dst=MAC_B, type=0x800))


def _addresses(n, version, reply):
    a, b = (f"10.1.{n}.1", f"10.1.{n}.2") if version == 4 else (f"fd01:{n:x}::1", f"fd01:{n:x}::2")
    return (b, a) if reply else (a, b)


def _ether(reply):
    return Ether(src=MAC_B, dst=MAC_A) if reply else Ether(src=MAC_A, dst=MAC_B)


def _ip(n, version, reply, **fields):
    source, destination = _addresses(n, version, reply)
    return (IP if version == 4 else IPv6)(src=source, dst=destination, **fields)


def _observed(n, version, reply, link, ip, protocol, ports):
    source, destination = _addresses(n, version, reply)
    source_port, destination_port = reversed(ports) if reply else ports
    key = protocol, source, source_port, destination, destination_port
    return Frame(bytes(link / ip), "observed", key, len(bytes(ip)))


def _transport(protocol, reply, payload):
    sport, dport = (443, 40001) if reply else (40001, 443)
    if protocol == socket.IPPROTO_TCP:
        return TCP(sport=sport, dport=dport, flags="A", options=[("Timestamp", (1, 2))]) / Raw(payload)
    if protocol == socket.IPPROTO_UDP:
        return UDP(sport=sport, dport=dport) / Raw(payload)
    return SCTP(sport=sport, dport=dport) / SCTPChunkData(data=payload)


def _plain(protocol, version, *tags, options=None, extensions=()):
    """Makes a kind: a function of a number (for addresses), the direction, and the size of the payload."""
    def make(n, reply, size):
        link = _ether(reply)
        for tag in tags:
            link = link / tag
        ip = _ip(n, version, reply, **({"options": options} if options else {}))
        for extension in extensions:
            ip = ip / extension
        ip = ip / _transport(protocol, reply, b"x" * size)
        return _observed(n, version, reply, link, ip, protocol, (40001, 443))
    return make


def _echo(version):
    def make(n, reply, size):
        if version == 4:
            message, protocol = ICMP(type=0 if reply else 8, id=7), 1
        else:
            message, protocol = (ICMPv6EchoReply if reply else ICMPv6EchoRequest)(id=7), 58
        ip = _ip(n, version, reply) / message / Raw(b"x" * size)
        return _observed(n, version, reply, _ether(reply), ip, protocol, (0, 0))
    return make


def _fragment(version, first):
    def make(n, reply, size):
        size = 64 + size // 8 * 8
        # The first fragment claims a datagram of which it holds only the beginning.
        ports = (443, 40001) if reply else (40001, 443)
        payload = struct.pack("!HHHH", *ports, 2 * size, 0) + b"x" * (size - 8) if first else b"x" * size
        offset, more = (0, 1) if first else (size // 8, 0)
        if version == 4:
            ip = _ip(n, 4, reply, proto=17, id=n, flags=more, frag=offset) / Raw(payload)
        else:
            ip = _ip(n, 6, reply) / IPv6ExtHdrFragment(nh=17, id=n, m=more, offset=offset) / Raw(payload)
        return _observed(n, version, reply, _ether(reply), ip, 17, (40001, 443) if first else (0, 0))
    return make


def _padded(n, reply, _):
    """Ethernet's 60 bytes: the padding does not count."""
    frame = _plain(socket.IPPROTO_UDP, 4)(n, reply, 4)
    return frame._replace(data=frame.data.ljust(60, b"\xee"))


def _skipped(verdict, build):
    return lambda n, reply, size: Frame(bytes(build(n, reply, size)), verdict, None, 0)


def _udp(n, reply, size):
    return _ether(reply) / _ip(n, 4, reply) / UDP(sport=1, dport=2) / Raw(b"x" * size)


def _changed(offset, value):
    """A good UDP frame with some bytes of it replaced."""
    def build(n, reply, size):
        data = bytearray(bytes(_udp(n, reply, size)))
        data[offset:offset + len(value)] = value
        return bytes(data)
    return build


KINDS = {
    "tcp4": _plain(socket.IPPROTO_TCP, 4),
    "tcp6": _plain(socket.IPPROTO_TCP, 6),
    "udp4": _plain(socket.IPPROTO_UDP, 4),
    "udp6": _plain(socket.IPPROTO_UDP, 6),
    "sctp4": _plain(socket.IPPROTO_SCTP, 4),
    "sctp6": _plain(socket.IPPROTO_SCTP, 6),
    "icmp4": _echo(4),
    "icmp6": _echo(6),
    "vlan4": _plain(socket.IPPROTO_UDP, 4, Dot1Q(vlan=7)),
    "vlan6": _plain(socket.IPPROTO_TCP, 6, Dot1Q(vlan=7)),
    "qinq4": _plain(socket.IPPROTO_TCP, 4, Dot1AD(vlan=7), Dot1Q(vlan=8)),
    "options4": _plain(socket.IPPROTO_TCP, 4, options=[IPOption_NOP()] * 8),
    "extensions6": _plain(socket.IPPROTO_UDP, 6, extensions=(IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt())),
    "padded4": _padded,
    "fragment4_first": _fragment(4, True),
    "fragment4_later": _fragment(4, False),
    "fragment6_first": _fragment(6, True),
    "fragment6_later": _fragment(6, False),
    "arp": _skipped("not_ip", lambda n, reply, _: _ether(reply) / ARP(psrc=f"10.1.{n}.1", pdst=f"10.1.{n}.2")),
    "lldp": _skipped("not_ip", lambda n, reply, size: Ether(src=MAC_A, dst="01:80:c2:00:00:0e", type=0x88cc)
                     / Raw(b"x" * size)),
    "vlan_arp": _skipped("not_ip", lambda n, reply, _: _ether(reply) / Dot1Q(vlan=7) / ARP(psrc=f"10.1.{n}.1")),
    "cut_ip_header": _skipped("malformed", lambda n, reply, _: bytes(_udp(n, reply, 0))[:14 + 12]),
    "cut_ip6_header": _skipped("malformed", lambda n, reply, _: bytes(_ether(reply) / _ip(n, 6, reply))[:14 + 30]),
    "cut_udp_header": _skipped("malformed", lambda n, reply, _: bytes(
        _ether(reply) / _ip(n, 4, reply, proto=17, len=24) / Raw(b"\0\1\0\2"))),
    "ip_version": _skipped("malformed", _changed(14, b"\x55")),
    "ip_header_length": _skipped("malformed", _changed(14, b"\x44")),
    "ip_total_length": _skipped("malformed", _changed(16, b"\x40\x00")),
    "udp_length": _skipped("malformed", _changed(38, b"\x00\x07")),
    "tcp_offset": _skipped("malformed", lambda n, reply, _: _ether(reply) / _ip(n, 4, reply) / TCP(dataofs=2)),
    # On reception the kernel takes the first tag out of the frame.
    "four_tags": _skipped("unsupported", lambda n, reply, size: _ether(reply) / Dot1Q() / Dot1Q() / Dot1Q() / Dot1Q()
                          / _ip(n, 4, reply) / UDP() / Raw(b"x" * size)),
}


def udp_frame(n, source_port, size):
    """One UDP frame from source_port to port 9, made without scapy: there may be thousands."""
    source, destination = _addresses(n, 4, False)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + size, 0, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(destination))
    datagram = struct.pack("!HHHH", source_port, 9, 8 + size, 0) + bytes(size)
    return Frame(_UDP_LINK + head + datagram, "observed", (17, source, source_port, destination, 9), 28 + size)
