# SPDX-License-Identifier: Apache-2.0
"""Known packets of each kind give exactly those totals, wherever totals are told."""
import kernel
import tally
from frames import KINDS
from harness import HOOKS, test
from process import Failure


def make_frames(random):
    """Some frames of each kind and direction, in random order: ([to the host], [from the host])."""
    directions = [], []
    for n, (name, make) in enumerate(KINDS.items(), 1):
        for reply, frames in enumerate(directions):
            frames += [make(n, bool(reply), random.randrange(1000)) for _ in range(random.randint(1, 30))]
    for frames in directions:
        random.shuffle(frames)
    return directions


def check_hook(told, frames, what):
    """TOLD: a function of a verdict, "seen" or "bytes"."""
    expected = {"seen": len(frames), "bytes": sum(frame.bytes for frame in frames)}
    for verdict in "observed", "not_ip", "malformed", "unsupported", "duplicate", "self", "error":
        expected[verdict] = sum(frame.verdict == verdict for frame in frames)
    wrong = {key: (told(key), value) for key, value in expected.items() if told(key) != value}
    if wrong:
        raise Failure(f"{what}: (told, expected) are {wrong}")


def from_status(account):
    names = {"seen": "seen", "observed": "observed", "bytes": "bytes_observed"}
    return lambda key: account[names[key]] if key in names else account["skipped"].get(key, 0)


def from_metrics(metrics, labels):
    names = {"seen": "packets_seen", "observed": "packets_observed", "bytes": "bytes_observed"}
    return lambda key: metrics[f"sonde_{names[key]}_total{{{labels}}}" if key in names else
                               f"sonde_packets_skipped_total{{{labels},reason=\"{key}\"}}"]


@test(quick=True, variants=HOOKS)
def test_kinds(stage, *options):
    """N packets of each kind: exactly those totals at the sink, in status, metrics and bpftool."""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options, sockets__enabled=True)
    inward, outward = make_frames(stage.random)
    stage.send(stage.peer, "p0", inward)
    stage.send(stage.host, "v0", outward)
    expected = tally.of_frames(inward + outward)

    stage.wait_flows(sink, expected)
    tally.of_map(stage.bpffs).require(expected, "bpftool map dump")
    status = stage.settled(sensor)
    metrics, interface = sensor.metrics(), sensor.interface("v0")
    for direction, frames in ("ingress", inward), ("egress", outward):
        check_hook(from_status(interface[direction]), frames, f"status, {direction}")
        check_hook(from_metrics(metrics, f'interface="v0",direction="{direction}"'), frames, f"metrics, {direction}")
    if metrics["sonde_backend_up"] != 1 or metrics["sonde_books_difference"] != 0:
        raise Failure("metrics: the backend is not up, or the books do not balance")
    if interface["hook"] != (options and "clsact" or "tcx") or not status["backend"]["up"]:
        raise Failure(f"status: {interface['hook']}, {status['backend']}")

    sensor.stop()
    tally.of_records(sink.records()).require(expected, "flow records after the stop")
    stage.check_nothing_left("v0")


@test(variants=HOOKS)
def test_packet_ring(stage, *options):
    """Packets whose headers are outside the linear area (AF_PACKET's ring) are observed all the same."""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    frames = [KINDS[name](1, False, 100) for name in ("udp4", "tcp4", "vlan4", "udp6", "extensions6")]
    expected = tally.Tally()
    for frame in frames:
        stage.blasted(stage.blast(stage.peer, "ring", "p0", 1000, frame.data.hex()))
        expected.add(frame.key, 1000, 1000 * frame.bytes)
    stage.wait_flows(sink, expected)
    stage.settled(sensor)


@test()
def test_sampled(stage):
    """The head of each direction of each flow is sampled, with the bytes that were sent."""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(packets__head_bytes=1000, packets__snaplen=128)
    frames = [KINDS["udp4"](1, False, 372)] * 8 + [KINDS["tcp6"](2, False, 10)]  # 400 bytes of IP: three begin in 1000
    stage.send(stage.peer, "p0", frames)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
    samples = sink.records("sonde.packet")
    sizes = sorted((sample["packet.original_length"], sample["packet.captured_length"]) for sample in samples)
    small = len(frames[-1].data)
    if sizes != sorted([(414, 128)] * 3 + [(small, small)]):
        raise Failure(f"samples (original, captured): {sizes}")
    if kernel.our_filters(stage.host, "v0"):
        raise Failure("filters beside tcx")
