# SPDX-License-Identifier: Apache-2.0
"""VLAN tags where the kernel puts them: on receipt the outermost one goes into skb metadata, the next stays in the frame."""
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from frames import MAC_A, MAC_B, Frame
from harness import HOOKS, test
from process import Failure

SIZE = 28 + 32  # IPv4, UDP and payload

# Tags of a frame, and what its flow is told apart by: the outer or only VLAN id, the inner one; None: unsupported.
KINDS = [
    ([], ("", "")),
    ([Dot1Q(vlan=5)], ("5", "")),
    ([Dot1AD(vlan=5)], ("5", "")),
    ([Dot1Q(vlan=6, prio=7)], ("6", "")),
    ([Dot1Q(vlan=0, prio=7)], ("", "")),
    ([Dot1AD(vlan=5), Dot1Q(vlan=4095)], ("5", "4095")),
    ([Dot1Q(vlan=0), Dot1Q(vlan=7)], ("7", "")),
    ([Dot1AD(vlan=5), Dot1Q(vlan=6), Dot1Q(vlan=7)], None),
]


def frame(tags):
    packet = Ether(src=MAC_A, dst=MAC_B)
    for tag in tags:
        packet = packet / tag
    packet = packet / IP(src="10.9.0.2", dst="10.9.0.99") / UDP(sport=7000, dport=7001) / Raw(bytes(32))
    return Frame(bytes(packet), "observed", None, SIZE)


def vlans(records):
    """Packets and bytes by VLAN ids."""
    totals = {}
    for record in records:
        entry = totals.setdefault((record.get("network.vlan.id", ""), record.get("network.inner.vlan.id", "")), [0, 0])
        entry[0] += record["source.packets"] + record["destination.packets"]
        entry[1] += record["source.bytes"] + record["destination.bytes"]
    return totals


@test(quick=True, variants=HOOKS)
def test_metadata(stage, *options):
    """Tags in metadata, in the frame and in both set flows apart; three are unsupported"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    expected = {}
    for n, (tags, ids) in enumerate(KINDS, 1):
        stage.send(stage.peer, "p0", [frame(tags)] * n)
        if ids is not None:
            entry = expected.setdefault(ids, [0, 0])
            entry[0] += n
            entry[1] += n * SIZE
    sensor.stop()
    flows = [record for record in sink.records() if record["source.address"] in ("10.9.0.2", "10.9.0.99")]
    if vlans(flows) != expected:
        raise Failure(f"flow records: {vlans(flows)}, expected {expected}")
