# SPDX-License-Identifier: Apache-2.0
"""
What tshark makes of a capture, as directed flows: twice. `plain` is what anybody gets who sums up tshark's last layers
of IP and transport (tshark -T fields -E occurrence=l). `expected` follows docs/replay.md's rules on top of the layers that
tshark tells: how far tunnels are followed, which packets are malformed. Where the two differ for a packet, the rule that
makes the difference is its category.
"""
import collections
import ipaddress
import json
import re
import struct
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

OPTIONS = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE", "ip.tso_support:FALSE",
           "tcp.try_heuristic_first:FALSE", "udp.try_heuristic_first:FALSE"]
PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
HEADER = {6: 20, 17: 8, 132: 12, 1: 8, 58: 8}
INNER = {4: 20, 41: 40}  # the IP header that has to be behind these, even where tshark shows none for want of bytes
READ = {**HEADER, 132: 8}  # what of the header must have been captured
VXLAN, GENEVE = (4789, 8472), (6081,)
GRE_TYPES = {0x0800, 0x86dd, 0x6558}  # IPv4, IPv6, Ethernet
# Layers that are no more than a link header: IP behind them is a frame's own.
LINK = {"geninfo", "frame", "eth", "ethertype", "vlan", "ieee8021ad", "sll", "null", "raw"}
EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}
VLAN_TAGS_MAX, EXTENSIONS_MAX = 2, 8

Packet = collections.namedtuple("Packet", "plain expected category")
"""plain, expected: (protocol, source, port, destination, port), bytes; None: no flow. category: None where they agree."""


class Layer:
    def __init__(self, element):
        self.name = element.get("name")
        self.pos, self.size = int(element.get("pos", 0)), int(element.get("size", 0))
        self.fields = collections.defaultdict(list)
        for field in element.iter("field"):
            self.fields[field.get("name")].append(field)

    def text(self, name):
        return self.fields[name][0].get("show") if name in self.fields else None

    def number(self, name):
        text = self.text(name)
        return None if text is None else int(text, 0)


class Ip:
    """An IP header as tshark tells it: where it ends, and what it says of itself."""

    def __init__(self, layers, index):
        layer = self.layer = layers[index]
        self.v4 = layer.name == "ip"
        self.pos = layer.pos
        prefix = "ip" if self.v4 else "ipv6"
        self.source, self.destination = (address(layer.text(prefix + end)) for end in (".src", ".dst"))
        self.next = index + 1
        self.offset, self.more, self.identification, self.extensions = 0, False, 0, 0
        if self.v4:
            self.length, self.header = layer.number("ip.len"), layer.number("ip.hdr_len")
            self.protocol = layer.number("ip.proto")
            # A bare number of bytes or of units of 8, as the version of tshark has it: the field's own bits are certain.
            field = layer.fields["ip.frag_offset"]
            self.offset = int(field[0].get("unmaskedvalue") or field[0].get("value"), 16) & 0x1fff if field else 0
            self.more = layer.text("ip.flags.mf") in ("1", "True")
            self.identification = layer.number("ip.id")
        else:
            payload = layer.number("ipv6.plen")
            self.length, self.header = None if payload is None else payload + 40, 40
            self.protocol = layer.number("ipv6.nxt")

    def complete(self):
        return None not in (self.length, self.header, self.protocol, self.source, self.destination)


def address(text):
    return ipaddress.ip_address(text) if text else None


def walk_extensions(raw, ip):
    """The header chain of RFC 8200 over the frame's bytes. What stopped it, or None."""
    at, end = ip.pos + 40, ip.pos + ip.length
    for _ in range(EXTENSIONS_MAX):
        if ip.protocol not in EXTENSIONS:
            break
        if at + 8 > end or at + 8 > len(raw):
            return "a header is cut short"
        this, ip.protocol = ip.protocol, raw[at]
        if this == 44:
            word = int.from_bytes(raw[at + 2:at + 4], "big")
            ip.offset, ip.more = word >> 3, bool(word & 1)
            ip.identification = int.from_bytes(raw[at + 4:at + 8], "big")
            at += 8
            if ip.offset:
                break
        else:
            at += (raw[at + 1] + 2) * 4 if this == 51 else (raw[at + 1] + 1) * 8
        if at > end:
            return "a length beyond its packet"
    ip.header = at - ip.pos
    if ip.protocol in EXTENSIONS and not ip.offset:
        return "more nested than the parser follows"
    return None


class Model:
    def __init__(self):
        self.fragments = {}

    def packet(self, raw, length, layers):
        plain = self.plain(layers)
        expected, category = self.expected(raw, length, layers)
        if expected == plain:
            category = None
        return Packet(plain, expected, category or ("" if expected != plain else None))

    @staticmethod
    def plain(layers):
        ips = [index for index, layer in enumerate(layers) if layer.name in ("ip", "ipv6")]
        if not ips:
            return None
        ip = Ip(layers, ips[-1])
        if not ip.complete():
            return None
        protocol, ports = ip.protocol, (0, 0)
        for layer in layers[ips[-1] + 1:]:
            if layer.name in PORTS.values():
                protocol = {name: number for number, name in PORTS.items()}[layer.name]
                ports = (layer.number(layer.name + ".srcport") or 0, layer.number(layer.name + ".dstport") or 0)
                break
            if layer.name in ("icmp", "icmpv6"):
                protocol = 1 if layer.name == "icmp" else 58
                break
        return (protocol, ip.source, ports[0], ip.destination, ports[1]), ip.length

    def expected(self, raw, length, layers):
        first = next((index for index, layer in enumerate(layers) if layer.name not in LINK), len(layers))
        if first == len(layers) or layers[first].name not in ("ip", "ipv6"):
            return None, "IP behind a header that is none of Ethernet's" if first < len(layers) else "no IP"
        if sum(layer.name in ("vlan", "ieee8021ad") for layer in layers[:first]) > VLAN_TAGS_MAX:
            return None, "more nested than the parser follows"
        return self.flow(raw, length, layers, first, length)

    def flow(self, raw, length, layers, index, end):
        ip = Ip(layers, index)
        if not ip.complete() or ip.pos + (20 if ip.v4 else 40) > len(raw):
            return None, "a header is cut short"
        if ip.length < ip.header or ip.pos + ip.length > end or ip.header < 20:
            return None, "a length beyond its packet"
        if not ip.v4:
            fault = walk_extensions(raw, ip)
            if fault:
                return None, fault
        return self.transport(raw, length, layers, ip)

    def transport(self, raw, length, layers, ip):
        """What is behind the IP header: ports, another packet in a tunnel, or neither."""
        at, end = ip.pos + ip.header, ip.pos + ip.length
        ports, category = (0, 0), None
        identity = (ip.source, ip.destination, ip.protocol, ip.identification)
        if ip.offset:
            ports, category = self.fragments.get(identity, (0, 0)), "a later fragment"
            return ((ip.protocol, ip.source, ports[0], ip.destination, ports[1]), ip.length), category
        need = HEADER.get(ip.protocol, 0)
        if at + need > end:
            return None, "a length beyond its packet"
        if ip.protocol in READ and at + READ[ip.protocol] > len(raw):
            return None, "a header is cut short"
        if not ip.more and at + INNER.get(ip.protocol, 0) > len(raw):
            return None, "a header is cut short"
        inner = self.tunnel(raw, layers, ip, at) if not ip.more else None
        if inner is not None and (ip.protocol in (4, 41) or self.sound(raw, layers[inner], end)):
            return self.flow(raw, length, layers, inner, end)
        if inner is not None:
            category = "a tunnel with nothing sound inside: the tunnel is the flow"
        if ip.protocol in PORTS:
            ports = (int.from_bytes(raw[at:at + 2], "big"), int.from_bytes(raw[at + 2:at + 4], "big"))
            fault = self.transport_fault(raw, ip, at, end)
            if fault:
                return None, fault
            if ip.more:
                self.fragments[identity] = ports
        category = category or self.beyond(layers, ip)
        return ((ip.protocol, ip.source, ports[0], ip.destination, ports[1]), ip.length), category

    @staticmethod
    def transport_fault(raw, ip, at, end):
        if ip.protocol == 17:
            size = int.from_bytes(raw[at + 4:at + 6], "big")
            if (size and size < 8) or (size > end - at and not ip.more):
                return "a length beyond its packet"
        if ip.protocol == 6:
            size = (raw[at + 12] >> 4) * 4
            if size < 20 or (size > end - at and not ip.more):
                return "a length beyond its packet"
        return None

    @staticmethod
    def sound(raw, layer, end):
        """Is that an IP header whose packet fits into the tunnel's?"""
        head = raw[layer.pos:layer.pos + 8]
        if len(head) < 8:
            return False
        header = (head[0] & 15) * 4 if layer.name == "ip" else 40
        length = int.from_bytes(head[2:4], "big") if layer.name == "ip" else int.from_bytes(head[4:6], "big") + 40
        return head[0] >> 4 == (4 if layer.name == "ip" else 6) and 20 <= header <= length <= end - layer.pos

    @staticmethod
    def tunnel(raw, layers, ip, at):
        """The index of the layer that is the tunnel's inner packet; None: there is no tunnel that we follow."""
        behind = layers[ip.next:]
        names = [layer.name for layer in behind]
        inner = next((i for i, layer in enumerate(behind) if layer.name in ("ip", "ipv6") and layer.pos >= at), None)
        if inner is None:
            return None
        between = set(names[:inner]) - LINK - {"ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ah"}
        if ip.protocol in (4, 41) and not between:
            return ip.next + inner
        if ip.protocol == 47 and between == {"gre"} and int.from_bytes(raw[at + 2:at + 4], "big") in GRE_TYPES:
            return ip.next + inner
        if ip.protocol == 17 and between in ({"udp", "vxlan"}, {"udp", "geneve"}):
            port = int.from_bytes(raw[at + 2:at + 4], "big")
            if port in (VXLAN if "vxlan" in between else GENEVE):
                return ip.next + inner
        return None

    @staticmethod
    def beyond(layers, ip):
        """Why tshark's last IP layer is not this one."""
        names = [layer.name for layer in layers[ip.next:]]
        if "ip" in names or "ipv6" in names:
            if "icmp" in names or "icmpv6" in names:
                return "quoted by ICMP"
            return "a tunnel of another kind"
        if not ip.v4 and ip.header > 40:
            return "behind IPv6 extension headers"
        return "cut when captured: tshark shows no ports, or no tunnel"


def packets(path):
    """A Packet for each frame of the capture, as tshark reads it; stops where tshark does."""
    command = ["tshark", "-n", "-r", path, "-T", "pdml"]
    for option in OPTIONS:
        command += ["-o", option]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    # What is in packets comes out as it is, and much of that XML does not allow.
    text = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd]", "?", process.stdout.decode("utf-8", "replace"))
    if "<packet>" not in text:
        return []
    if not text.rstrip().endswith("</pdml>"):
        text += "</packet></pdml>" if text.rfind("<packet>") > text.rfind("</packet>") else "</pdml>"
    model = Model()
    found = []
    for element, raw in zip(ElementTree.fromstring(text).findall("packet"), frames(path)):
        layers = [Layer(proto) for proto in element.findall("proto")]
        found.append(model.packet(raw, layers[0].number("len"), layers))
    return found


def frames(path):
    """The bytes of each frame of the capture."""
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        subprocess.run(["editcap", "-F", "nsecpcap", path, file.name], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        data = file.read()
    if not data:
        # editcap does not take what a pcapng file may hold beside packets, TLS keys say.
        process = subprocess.run(["tshark", "-n", "-r", path, "-T", "jsonraw", "-j", "frame"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, check=False)
        for packet in json.loads(process.stdout.decode("utf-8", "replace") or "[]"):
            yield bytes.fromhex(packet["_source"]["layers"]["frame_raw"][0])
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack_from("=I", data, at + 8)[0]
        yield data[at + 16:at + 16 + size]
        at += 16 + size


def flows(found, which):
    """Directed totals: {(protocol, source, port, destination, port): [packets, bytes]}."""
    totals = collections.defaultdict(lambda: [0, 0])
    for packet in found:
        value = getattr(packet, which)
        if value:
            total = totals[value[0]]
            total[0] += 1
            total[1] += value[1]
    return dict(totals)
