# SPDX-License-Identifier: Apache-2.0
"""SIGKILL, restart, another layout, keep_attached, detach: no packet counted twice, nothing left behind."""
import os

import kernel
import tally
from frames import udp_frame
from harness import HOOKS, test
from process import Failure, wait_until


def send(stage, n, count):
    frames = [udp_frame(n, 1000 + i % 7, 20 + n) for i in range(count)]
    stage.send(stage.peer, "p0", frames)
    return frames


def check_counting(stage, frames):
    """No sensor runs, and the kernel's table has these totals."""
    tally.of_map(stage.bpffs).require(tally.of_frames(frames), "bpftool map dump without a sensor")


@test(quick=True, variants=HOOKS)
def test_kill_when_acknowledged(stage, *options):
    """Killed when all was acknowledged: the kernel counts on, and each packet is at the sink exactly once"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    frames = send(stage, 1, 500)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
    sensor.kill()
    frames += send(stage, 1, 300) + send(stage, 2, 100)
    check_counting(stage, frames)

    sensor = stage.sensor(*options)
    frames += send(stage, 1, 50)
    stage.wait_flows(sink, tally.of_frames(frames))
    status = stage.settled(sensor)
    crashed = sum(account["dropped"].get("crash", 0) + account["lost"].get("crash", 0)
                  for account in status["records"].values())
    if crashed:
        raise Failure(f"{crashed} records are booked as lost by the crash, but all were acknowledged")
    sensor.stop()
    tally.of_records(sink.records()).require(tally.of_frames(frames), "flow records after the stop")
    stage.check_nothing_left("v0")


@test(variants=HOOKS)
def test_kill_under_traffic(stage, *options):
    """Killed five times under traffic: no packet twice, what is missing is booked as dropped by the crash"""
    stage.routed_pair()
    sink, sensor = stage.sink(), stage.sensor(*options, sockets__enabled=True)
    sender = stage.blast(stage.peer, "udp", "10.9.0.2", 7000, "10.9.0.99", 7001, 0, 100, 20000, "any")
    for _ in range(5):
        # Any moment of a pass, of a batch: by its own progress, not by the clock.
        target = sink.packets() + stage.random.randint(1, 4000)
        wait_until(lambda: sink.packets() >= target, f"{target} packets at the sink")
        sensor.kill()
        sensor = stage.sensor(*options)
    sent = stage.blasted(sender, stop=True) - stage.host.rx_dropped("v0")
    wait_until(lambda: tally.observed(sensor.status())[0] == sent,
               lambda: f"{sent} packets to be observed; there are {tally.observed(sensor.status())[0]}")
    status = stage.settled(sensor)

    records = sink.records()
    account, packets = status["records"]["flow"], tally.of_records(records).packets()
    crashed = account["dropped"].get("crash", 0)
    if packets > sent or (packets < sent and not crashed):
        raise Failure(f"{packets} packets at the sink of {sent} sent, with {crashed} records dropped by crashes")
    if tally.of_last_cumulative(records).packets() != sent:
        raise Failure(f"cumulative totals end at {tally.of_last_cumulative(records)}, {sent} were sent")
    # A record that was acknowledged when the sensor died may be booked as dropped; never the other way round.
    if not account["acked"] <= len(records) <= account["acked"] + crashed:
        raise Failure(f"{len(records)} flow records at the sink; booked are {account}")
    sensor.stop()
    stage.check_nothing_left("v0")


@test(variants=HOOKS)
def test_other_layout(stage, *options):
    """Killed, then started with another flows.max: everything moves over, the former pins go"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options, sockets__enabled=True)
    layout = os.readlink(stage.bpffs + "/current")
    frames = send(stage, 1, 400)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
    sensor.kill()
    frames += send(stage, 1, 200) + send(stage, 2, 200)
    check_counting(stage, frames)

    sensor = stage.sensor(*options, flows__max=2000)
    frames += send(stage, 1, 100) + send(stage, 3, 100)
    stage.wait_flows(sink, tally.of_frames(frames))
    status = stage.settled(sensor)
    expected = tally.of_frames(frames)
    if tally.observed(status) != (expected.packets(), expected.bytes()):
        raise Failure(f"observed {tally.observed(status)}, sent {expected.packets()} packets, {expected.bytes()} bytes")
    if sorted(os.listdir(stage.bpffs)) != sorted(["current", os.readlink(stage.bpffs + "/current")]):
        raise Failure(f"pins: {os.listdir(stage.bpffs)}")
    if os.readlink(stage.bpffs + "/current") == layout:
        raise Failure("the layout is the former one")
    sensor.stop()
    tally.of_records(sink.records()).require(expected, "flow records after the stop")
    stage.check_nothing_left("v0")


@test(variants=HOOKS)
def test_keep_attached(stage, *options):
    """keep_attached: after a stop the kernel counts on, the next sensor goes on with the totals; detach ends it"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options, keep_attached=True)
    frames = send(stage, 1, 300)
    sensor.stop()
    tally.of_records(sink.records()).require(tally.of_frames(frames), "flow records after the first stop")
    frames += send(stage, 1, 200)
    check_counting(stage, frames)
    sensor = stage.sensor(*options)
    frames += send(stage, 1, 100)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
    sensor.stop()
    code, out, error = stage.sonde("detach")
    if code:
        raise Failure(f"sonde detach: exit code {code}: {error}")
    if "detached 2 hooks" not in out:
        raise Failure(f"sonde detach says: {out}")
    tally.of_records(sink.records()).require(tally.of_frames(frames), "flow records after the last stop")
    stage.check_nothing_left("v0")


@test(quick=True, variants=HOOKS)
def test_detach_after_kill(stage, *options):
    """sonde detach after SIGKILL: no program, link, filter, qdisc, pin or socket is left"""
    stage.pair()
    stage.pair(1)
    sensor = stage.sensor(*options, sockets__enabled=True)
    send(stage, 1, 50)
    code, _, error = stage.sonde("detach")
    if code != 1 or "running" not in error:
        raise Failure(f"sonde detach beside a running sensor: exit code {code}, {error}")
    sensor.kill()
    if not kernel.both_hooks(stage.host, "v1"):
        raise Failure("the hooks of v1 went with the sensor")
    code, out, error = stage.sonde("detach")
    if code or "detached 4 hooks" not in out:
        raise Failure(f"sonde detach: exit code {code}, {out} {error}")
    stage.check_nothing_left("v0", "v1")
