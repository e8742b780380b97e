# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and stop: what changes live, what is refused, what a stop writes."""
import signal

import tally
from frames import udp_frame
from harness import HOOKS, test
from process import Failure, wait_until


def names(sensor):
    return sorted(entry["name"] for entry in sensor.status()["interfaces"])


def wait_names(sensor, *expected):
    wait_until(lambda: names(sensor) == sorted(expected),
               lambda: f"{expected} to be attached; there are {names(sensor)}")


def send(stage, n, source, count=20, size=30):
    """N: the pair of interfaces, SOURCE: which flow."""
    frames = [udp_frame(source, 1000, size)] * count
    stage.send(stage.peer, f"p{n}", frames)
    return frames


@test(quick=True, variants=HOOKS)
def test_interfaces(stage, *options):
    """interfaces.exclude and include attach and detach live, and the books go on"""
    for n in range(3):
        stage.pair(n)
    sink, sensor = stage.sink(), stage.sensor(*options, interfaces__exclude=["v1"])
    wait_names(sensor, "v0", "v2")
    frames = send(stage, 0, 1) + send(stage, 2, 2)
    send(stage, 1, 3)
    stage.wait_flows(sink, tally.of_frames(frames))

    lines = sensor.reload(interfaces__exclude=["v[02]"])
    if not any("configuration changed" in line and "interfaces.exclude" in line for line in lines):
        raise Failure(f"the change is not told: {lines}")
    wait_names(sensor, "v1")
    send(stage, 0, 4)
    frames += send(stage, 1, 5)
    sensor.reload(interfaces__exclude=[], interfaces__include=["v0", "v1"])
    wait_names(sensor, "v0", "v1")
    frames += send(stage, 0, 6) + send(stage, 1, 7)
    send(stage, 2, 8)
    stage.wait_flows(sink, tally.of_frames(frames))
    status = stage.settled(sensor)
    if tally.seen(status) != len(frames):
        raise Failure(f"seen {tally.seen(status)}, sent {len(frames)} to interfaces that were attached")
    if sensor.get("/readyz")[0] != 200:
        raise Failure("not ready after a reload")
    sensor.stop()
    stage.check_nothing_left("v0", "v1", "v2")


@test(variants=HOOKS)
def test_sampling(stage, *options):
    """packets.head_bytes and packets.enabled apply live, while totals go on"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options, packets__head_bytes=0)

    def samples(source, expected):
        frames = send(stage, 0, source, 10, 72)  # 100 bytes each from the IP header on
        stage.wait_flows(sink, tally.of_frames(all_frames + frames))
        stage.settled(sensor)
        found = sum(sample["source.address"] == f"10.1.{source}.1" for sample in sink.records("sonde.packet"))
        if found != expected:
            raise Failure(f"{found} samples of flow {source}, expected {expected}")
        return frames
    all_frames = []
    all_frames += samples(1, 0)
    sensor.reload(packets__head_bytes=250)
    stage.note_objects()
    all_frames += samples(2, 3)
    sensor.reload(packets__enabled=False)
    stage.note_objects()
    all_frames += samples(3, 0)
    sensor.reload(packets__enabled=True, packets__head_bytes="1MiB")
    stage.note_objects()
    all_frames += samples(4, 10)
    sensor.stop()
    tally.of_records(sink.records()).require(tally.of_frames(all_frames), "flow records after the stop")
    stage.check_nothing_left("v0")


@test(quick=True)
def test_refused(stage):
    """A bad file keeps the old configuration, a fixed key its old value, each with a message"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor()
    lines = sensor.reload(packets__head_bytes="many", interfaces__exclude=["v0"])
    if not any("level=error" in line and "not valid, keeping the old one" in line and "packets.head_bytes" in line
               and "many" in line for line in lines):
        raise Failure(f"the bad file is not told: {lines}")
    frames = send(stage, 0, 1)
    stage.wait_flows(sink, tally.of_frames(frames))
    if names(sensor) != ["v0"]:
        raise Failure(f"part of the bad file was applied: {names(sensor)}")

    lines = sensor.reload(packets__head_bytes=100, interfaces__exclude=[], flows__max=4096)
    if not any("level=warn" in line and "cannot change while the sensor runs" in line and "key=flows.max" in line
               for line in lines):
        raise Failure(f"the fixed key is not told: {lines}")
    if not any("configuration changed" in line and "packets.head_bytes" in line for line in lines):
        raise Failure(f"the key beside it was not taken: {lines}")
    if sensor.metrics()["sonde_flows_max"] != 65536:
        raise Failure(f"flows.max became {sensor.metrics()['sonde_flows_max']}")
    frames += send(stage, 0, 2)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)


SIGNALS = {f"{number.name}, {hook}": (number, *options) for number in (signal.SIGINT, signal.SIGTERM)
           for hook, options in HOOKS.items()}


@test(quick=True, variants=SIGNALS)
def test_stop(stage, number, *options):
    """A stop writes all flows with the reason shutdown, delivers them, and takes everything down"""
    stage.pair()
    long = {"flows__interval": "1h", "flows__active_timeout": "1h", "batch__age": "1m"}
    sink, sensor = stage.sink(), stage.sensor(*options, **long)
    frames = send(stage, 0, 1) + send(stage, 0, 2, 5)
    # Not by status, which reads the flow table.
    series = 'sonde_packets_observed_total{interface="v0",direction="ingress"}'
    wait_until(lambda: sensor.metrics()[series] == len(frames), "the packets to be observed")
    if sink.records():
        raise Failure("flow records before the stop")
    sensor.stop(number)
    tally.of_records(sink.records()).require(tally.of_frames(frames), "flow records after the stop")
    reasons = {record["sonde.flow.reason"] for record in sink.records()}
    if reasons != {"shutdown"}:
        raise Failure(f"the reasons are {reasons}")
    line = sensor.wait_log("msg=stopped")
    if f"seen={len(frames)} observed={len(frames)}" not in line or "records_dropped=0 books_difference=0" not in line:
        raise Failure(f"the last line is: {line}")
    stage.check_nothing_left("v0")
