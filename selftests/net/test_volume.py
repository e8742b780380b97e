# SPDX-License-Identifier: Apache-2.0
"""Many packets, many flows, super-packets: equal to the packet and to the byte."""
import os
import signal
import socket

import tally
from frames import udp_frame
from harness import HOOKS, test
from process import Failure, wait_until
from tcp import transfer

HEADERS = 28  # IPv4 and UDP


def flow(source, sport, destination, dport, packets, size):
    expected = tally.Tally()
    expected.add((17, source, sport, destination, dport), packets, packets * size)
    return expected


def wait_observed(sensor, packets):
    wait_until(lambda: tally.observed(sensor.status())[0] >= packets,
               lambda: f"{packets} packets to be observed; there are {tally.observed(sensor.status())[0]}", 60)


def check_volume(stage, sink, sensor, expected):
    """The sink, the books and bpftool agree with what was sent."""
    wait_observed(sensor, expected.packets())
    stage.wait_flows(sink, expected)
    status = stage.settled(sensor)
    if tally.observed(status) != (expected.packets(), expected.bytes()):
        raise Failure(f"observed {tally.observed(status)}, sent {expected.packets()} packets, {expected.bytes()} bytes")
    tally.of_map(stage.bpffs).require(expected, "bpftool map dump")
    sensor.stop()
    tally.of_records(sink.records()).require(expected, "flow records after the stop")


@test(quick=True, variants=HOOKS)
def test_million(stage, *options):
    """1,000,000 packets over a veth: equal at the sink to the packet and byte, difference 0"""
    stage.routed_pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    sent = stage.blasted(stage.blast(stage.peer, "udp", "10.9.0.2", 7000, "10.9.0.99", 7001, 1000000, 64, 0, "any"))
    # What the kernel drops between the two ends of the veth reaches no hook.
    arrived = sent - stage.host.rx_dropped("v0")
    if sent != 1000000 or arrived < 900000:
        raise Failure(f"{sent} packets sent, {arrived} arrived")
    check_volume(stage, sink, sensor, flow("10.9.0.2", 7000, "10.9.0.99", 7001, arrived, 64 + HEADERS))


@test(variants=HOOKS)
def test_two_cpus(stage, *options):
    """Two senders on two CPUs in one flow: no addition is lost"""
    stage.routed_pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    cpus = sorted(os.sched_getaffinity(0))
    senders = [stage.blast(stage.host, "udp", "10.9.0.1", 7000, "10.9.0.99", 7001, 300000, 200, 0, cpu)
               for cpu in (cpus[0], cpus[-1])]
    sent = sum(stage.blasted(sender) for sender in senders)
    if sent != 600000:
        raise Failure(f"{sent} packets sent")
    check_volume(stage, sink, sensor, flow("10.9.0.1", 7000, "10.9.0.99", 7001, sent, 200 + HEADERS))


FAMILIES = {
    "IPv4, tcx": (socket.AF_INET, "10.9.0.1", "10.9.0.2", 52),
    "IPv6, tcx": (socket.AF_INET6, "fd09::1", "fd09::2", 72),
    "IPv4, clsact": (socket.AF_INET, "10.9.0.1", "10.9.0.2", 52, *HOOKS["clsact"]),
}


@test(variants=FAMILIES)
def test_tcp_bulk(stage, family, host, peer, headers, *options):
    """Bulk TCP with segmentation offload counts as the segments on the wire, and their bytes"""
    stage.pair()
    for namespace, interface, address in (stage.host, "v0", host), (stage.peer, "p0", peer):
        namespace.address(interface, address + ("/24" if family == socket.AF_INET else "/64"))
        namespace.sysctl("ipv4/tcp_sack", 0)  # an option of varying length
    sink, sensor = stage.sink(), stage.sensor(*options)
    sends, receives = 64 << 20, 48 << 20
    with (stage.peer.socket(family, socket.SOCK_STREAM) as server,
          stage.host.socket(family, socket.SOCK_STREAM) as client):
        server.bind((peer, 5001))
        server.listen()
        client.connect((peer, 5001))
        port = client.getsockname()[1]
        here, there = transfer(client, server, sends, receives)
    out, in_ = here.segments_out, here.segments_in
    if not (sends + receives) // 1500 < out + in_ < (sends + receives) // 500:
        raise Failure(f"the kernel counted {out} + {in_} segments: no oracle")

    # Each segment has the timestamp option; SYN and SYN-ACK have eight more bytes of options.
    expected = tally.Tally()
    expected.add((6, host, port, peer, 5001), out, here.bytes_sent + out * headers + 8)
    expected.add((6, peer, 5001, host, port), in_, receives + in_ * headers + 8)
    wait_observed(sensor, out + in_)
    stage.settled(sensor)
    told = tally.Tally({key: entry for key, entry in tally.of_records(sink.records()).items() if key[0] == 6})
    if there.retransmitted:  # nobody knows how much of it arrived twice
        for totals in told, expected:
            totals[(6, peer, 5001, host, port)][1] = 0
    told.require(expected, "TCP at the sink")


def many_flows(stage, flows, sink=None):
    """Two packets of each flow; with a SINK no faster than it takes records, or the full queue would drop some."""
    frames = [udp_frame(1 + n // 50000, 1000 + n % 50000, stage.random.randrange(100)) for n in range(flows)] * 2
    step = 10000 if sink else len(frames)
    for sent in range(0, len(frames), step):
        stage.send(stage.peer, "p0", frames[sent:sent + step])
        if sink:
            wait_until(lambda: sink.packets() >= sent + step, f"the records of packet {sent + step}")
    return frames


def check_flows(stage, flows, room, *options):
    """FLOWS where the table holds ROOM: each packet without room becomes a record, and nothing is lost."""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options, flows__max=room)
    expected = tally.of_frames(many_flows(stage, flows, sink))
    if len(expected) != flows:
        raise Failure(f"{len(expected)} flows were made")
    stage.wait_flows(sink, expected)
    status = stage.settled(sensor)
    if tally.observed(status) != (expected.packets(), expected.bytes()):
        raise Failure(f"observed {tally.observed(status)}, sent {expected.packets()} packets, {expected.bytes()} bytes")
    full = [record for record in sink.records() if record["sonde.flow.reason"] == "table_full"]
    if len(full) != 2 * max(flows - room, 0):
        raise Failure(f"{len(full)} records table_full")
    sensor.stop()
    tally.of_records(sink.records()).require(expected, "flow records after the stop")


@test(quick=True, variants=HOOKS)
def test_table_full(stage, *options):
    """5,000 flows where the table holds 64: each packet without room becomes a record, nothing is lost"""
    check_flows(stage, 5000, 64, *options)


@test()
def test_table_overrun(stage):
    """50,000 flows where the table holds 1,000: each packet without room becomes a record, nothing is lost"""
    check_flows(stage, 50000, 1000)


@test()
def test_many_flows(stage):
    """100,000 flows and room for all: each has its totals"""
    check_flows(stage, 100000, 131072)


@test()
def test_ring_full(stage):
    """Neither table nor ring has room while the sensor stands still: error, ring_full, balanced"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(flows__max=64, ring__bytes="64KiB")
    sensor.send_signal(signal.SIGSTOP)
    frames = many_flows(stage, 5000)
    sensor.send_signal(signal.SIGCONT)
    status = stage.settled(sensor)
    packets, size = tally.observed(status)
    errors = tally.skipped(status, "error")
    if not errors or packets + errors != len(frames) or tally.seen(status) != len(frames):
        raise Failure(f"seen {tally.seen(status)}, observed {packets}, errors {errors} of {len(frames)}")
    lost = sum(account["lost"].get("ring_full", 0) for account in status["records"].values())
    if lost < errors:
        raise Failure(f"{lost} records lost for want of room in the ring")
    sensor.stop()
    told = tally.of_records(sink.records())
    if (told.packets(), told.bytes()) != (packets, size):
        raise Failure(f"{told.packets()} packets of {told.bytes()} bytes at the sink, {packets} of {size} observed")


@test()
def test_queue_full(stage):
    """The backend stands still: the oldest records go, counted, and what arrives later agrees with the books"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor()
    frames = [udp_frame(1, 1000 + n, 10) for n in range(20000)]
    sink.send_signal(signal.SIGSTOP)
    sent = []

    def dropped():
        stage.send(stage.peer, "p0", frames)
        sent.extend(frames)
        return sensor.status()["records"]["flow"]["dropped"].get("queue_full", 0)
    wait_until(dropped, "the queue to be full")
    sink.send_signal(signal.SIGCONT)
    status = stage.settled(sensor)
    expected = tally.of_frames(sent)
    if tally.observed(status) != (expected.packets(), expected.bytes()):
        raise Failure(f"observed {tally.observed(status)}, sent {expected.packets()} packets, {expected.bytes()} bytes")
    records, account = sink.records(), status["records"]["flow"]
    if len(records) != account["acked"] or account["acked"] + account["dropped"]["queue_full"] != account["produced"]:
        raise Failure(f"{len(records)} flow records at the sink, booked are {account}")
    tally.of_last_cumulative(records).require(expected, "cumulative totals")
