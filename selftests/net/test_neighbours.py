# SPDX-License-Identifier: Apache-2.0
"""Programs of other people on the same interface: they keep working, do not blind the sensor, and stay."""
import contextlib

import kernel
import tally
from frames import udp_frame
from harness import HOOKS, test
from process import Failure

OK, NEXT = 0, -1
ENDS = ("stop", "kill")
OTHERS = (("tcx ingress", NEXT, "ingress"), ("tcx egress", NEXT, "egress"),
          ("clsact ingress", NEXT, "ingress"), ("clsact egress", OK, "egress"))
VARIANTS = {f"{hook}, {end}": (end, *options) for hook, options in HOOKS.items() for end in ENDS}


class Traffic:
    """Some packets each way, and what the other programs must have counted of all so far."""

    def __init__(self, stage, counters):
        self.stage, self.counters, self.frames, self.counted = stage, counters, [], [0] * len(counters)

    def send(self):
        inward = [udp_frame(1, 1000, 30)] * self.stage.random.randint(1, 50)
        outward = [udp_frame(2, 1000, 30)] * self.stage.random.randint(1, 50)
        self.stage.send(self.stage.peer, "p0", inward)
        self.stage.send(self.stage.host, "v0", outward)
        self.frames += inward + outward
        for i, (name, (counter, direction)) in enumerate(self.counters.items()):
            self.counted[i] += len(inward if direction == "ingress" else outward)
            if counter.count() != self.counted[i]:
                raise Failure(f"{name} counted {counter.count()} packets of {self.counted[i]}")


def end(stage, sensor, how):
    if how == "stop":
        sensor.stop()
        return
    sensor.kill()
    code, _, error = stage.sonde("detach")
    if code:
        raise Failure(f"sonde detach: exit code {code}: {error}")


@test(quick=True, variants=VARIANTS)
def test_others_first(stage, how, *options):
    """Others' tcx programs and clsact filters, there before, count on during and after, and stay"""
    stage.pair()
    with contextlib.ExitStack() as stack:
        others = {name: (stack.enter_context(contextlib.closing(kernel.Counter(verdict))), direction)
                  for name, verdict, direction in OTHERS}
        pin = stage.bpffs + "-other"
        others["tcx ingress"][0].attach_tcx(stage.host, "v0", "ingress")
        others["tcx egress"][0].attach_tcx(stage.host, "v0", "egress")
        stage.host.tc("qdisc", "add", "dev", "v0", "clsact")
        others["clsact ingress"][0].attach_clsact(stage.host, "v0", "ingress", 1, pin)
        others["clsact egress"][0].attach_clsact(stage.host, "v0", "egress", 10, pin)
        attached = kernel.tcx_programs(stage.host, "v0"), kernel.tc_filters(stage.host, "v0")
        traffic = Traffic(stage, others)
        traffic.send()
        before = len(traffic.frames)

        sink, sensor = stage.sink(), stage.sensor(*options)
        traffic.send()
        expected = tally.of_frames(traffic.frames[before:])
        stage.wait_flows(sink, expected)
        stage.settled(sensor)
        end(stage, sensor, how)
        traffic.send()
        now = kernel.tcx_programs(stage.host, "v0"), kernel.tc_filters(stage.host, "v0")
        if now != attached:
            raise Failure(f"attached before: {attached}\nand after: {now}")
        tally.of_records(sink.records()).require(expected, "flow records")
        stage.check_nothing_left()


@test(variants={end_: (end_,) for end_ in ENDS})
def test_chain_that_ends(stage, how):
    """A tcx program that ends the chain for all behind it does not blind the sensor"""
    stage.pair()
    with contextlib.closing(kernel.Counter(OK)) as inward, contextlib.closing(kernel.Counter(OK)) as outward:
        inward.attach_tcx(stage.host, "v0", "ingress")
        outward.attach_tcx(stage.host, "v0", "egress")
        sink, sensor = stage.sink(), stage.sensor()
        traffic = Traffic(stage, {"ingress": (inward, "ingress"), "egress": (outward, "egress")})
        traffic.send()
        stage.wait_flows(sink, tally.of_frames(traffic.frames))
        end(stage, sensor, how)
        traffic.send()
        if kernel.tcx_programs(stage.host, "v0") != {"ingress": [inward.id], "egress": [outward.id]}:
            raise Failure(f"after the sensor: {kernel.tcx_programs(stage.host, 'v0')}")
        stage.check_nothing_left()


@test(variants=VARIANTS)
def test_others_later(stage, how, *options):
    """Others that come while the sensor runs stay when it goes, with the clsact qdisc that they use"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(*options)
    with contextlib.closing(kernel.Counter(NEXT)) as tcx, contextlib.closing(kernel.Counter(NEXT)) as clsact:
        tcx.attach_tcx(stage.host, "v0", "ingress")
        if not options:
            stage.host.tc("qdisc", "add", "dev", "v0", "clsact")
        clsact.attach_clsact(stage.host, "v0", "egress", 5, stage.bpffs + "-other")
        traffic = Traffic(stage, {"tcx": (tcx, "ingress"), "clsact": (clsact, "egress")})
        traffic.send()
        stage.wait_flows(sink, tally.of_frames(traffic.frames))
        stage.settled(sensor)
        end(stage, sensor, how)
        traffic.send()
        there, filters = kernel.tc_filters(stage.host, "v0")
        if not there or filters["ingress"] or not any("pref 5 " in line for line in filters["egress"]):
            raise Failure(f"clsact after the sensor: {there}, {filters}")
        programs = kernel.tcx_programs(stage.host, "v0")
        if kernel.our_filters(stage.host, "v0") or programs != {"ingress": [tcx.id], "egress": []}:
            raise Failure(f"after the sensor: {programs}, {filters}")
        stage.check_nothing_left()


@test(variants={end_: (end_,) for end_ in ENDS})
def test_taken_priority(stage, how):
    """A filter of another kind at the sensor's priority: it takes the next one, and leaves that filter alone"""
    stage.pair()
    stage.host.tc("qdisc", "add", "dev", "v0", "clsact")
    for direction in "ingress", "egress":
        stage.host.tc("filter", "add", "dev", "v0", direction, "pref", "1", "protocol", "all",
                      "u32", "match", "ip", "src", "192.0.2.77/32", "classid", "1:1")
    attached = kernel.tc_filters(stage.host, "v0")
    sink, sensor = stage.sink(), stage.sensor(*HOOKS["clsact"])
    traffic = Traffic(stage, {})
    traffic.send()
    stage.wait_flows(sink, tally.of_frames(traffic.frames))
    end(stage, sensor, how)
    if kernel.tc_filters(stage.host, "v0") != attached:
        raise Failure(f"filters before: {attached}, and after: {kernel.tc_filters(stage.host, 'v0')}")
    stage.check_nothing_left()


@test(variants={end_: (end_,) for end_ in ENDS})
def test_empty_qdisc(stage, how):
    """A clsact qdisc that was there before stays, with nothing in it, as it was"""
    stage.pair()
    stage.host.tc("qdisc", "add", "dev", "v0", "clsact")
    sink, sensor = stage.sink(), stage.sensor(*HOOKS["clsact"])
    traffic = Traffic(stage, {})
    traffic.send()
    stage.wait_flows(sink, tally.of_frames(traffic.frames))
    end(stage, sensor, how)
    if kernel.tc_filters(stage.host, "v0") != (True, {"ingress": [], "egress": []}):
        raise Failure(f"after the sensor: {kernel.tc_filters(stage.host, 'v0')}")
    stage.check_nothing_left()
