# SPDX-License-Identifier: Apache-2.0
"""A backend that cannot be reached: said clearly, shown, nothing lost; and once it is there, everything arrives."""
import shutil

import tally
from frames import KINDS
from harness import test
from process import Failure, wait_until


def send_some(stage, n):
    frames = [KINDS["udp4"](n, False, 50)] * stage.random.randint(1, 50)
    frames += [KINDS["tcp6"](n + 1, False, 50)] * stage.random.randint(1, 50)
    stage.send(stage.peer, "p0", frames)
    return frames


def check_down(stage, sensor, frames, error):
    """The log, the metric and the status say why; the books balance with all records queued."""
    line = sensor.wait_log("backend down, retrying in")
    if error not in line:
        raise Failure(f"the log does not say \"{error}\": {line}")
    packets = tally.of_frames(frames).packets()
    status = wait_until(lambda: next((s for s in [sensor.status()] if tally.observed(s)[0] == packets
                                      and not s["flows"]["unreported_packets"]), None), "all packets to be reported")
    tally.check_books(status)
    if status["backend"]["up"] or error not in status["backend"]["last_error"]:
        raise Failure(f"status: {status['backend']}")
    if sensor.metrics()["sonde_backend_up"] != 0:
        raise Failure("metrics: the backend is up")
    flows = status["records"]["flow"]
    if not flows["queued"] or flows["queued"] != flows["produced"]:
        raise Failure(f"the records do not wait: {flows}")


def check_arrival(stage, sensor, sink, frames):
    """All that waited arrives, and what comes then."""
    frames = frames + send_some(stage, 10)
    stage.wait_flows(sink, tally.of_frames(frames))
    status = stage.settled(sensor)
    if not status["backend"]["up"] or status["backend"]["last_error"]:
        raise Failure(f"status after arrival: {status['backend']}")
    if sensor.metrics()["sonde_backend_up"] != 1:
        raise Failure("metrics after arrival: the backend is not up")
    sensor.wait_log("backend up")
    sensor.stop()
    tally.of_records(sink.records()).require(tally.of_frames(frames), "flow records after the stop")


@test(quick=True)
def test_dead(stage):
    """Nothing listens: a clear message, backend_up 0, balanced books; then everything arrives"""
    stage.pair()
    sensor = stage.sensor()
    frames = send_some(stage, 1)
    check_down(stage, sensor, frames, "the backend refuses connections")
    check_arrival(stage, sensor, stage.sink(), frames)


WRONG = {
    "wrong CA": ("backend__ca", lambda pki: pki.foreign + "/ca.crt", "not signed by backend.ca"),
    "expired client certificate": ("backend__cert", lambda pki: pki.path("expired.crt"), "has expired"),
}


@test(variants=WRONG)
def test_wrong_file(stage, key, wrong, error):
    """A certificate that does not do: the same, and right ones are taken on SIGHUP"""
    stage.pair()
    good = stage.config().values[key.replace("__", ".")]
    # One path, whose file changes: a renewed certificate comes so.
    path = stage.dir + "/certificate.pem"
    shutil.copy(wrong(stage.pki), path)
    sink, sensor = stage.sink(), stage.sensor(**{key: path})
    frames = send_some(stage, 1)
    check_down(stage, sensor, frames, error)
    if sink.records():
        raise Failure("the sink took records")
    shutil.copy(good, path)
    sensor.reload()
    check_arrival(stage, sensor, sink, frames)


@test()
def test_missing_certificate(stage):
    """No client certificate: the same, and one is taken on SIGHUP"""
    stage.pair()
    good = dict(stage.config().values)
    sink, sensor = stage.sink(), stage.sensor(backend__cert='""', backend__key='""')
    frames = send_some(stage, 1)
    check_down(stage, sensor, frames, "demands a client certificate")
    sensor.reload(backend__cert=good["backend.cert"], backend__key=good["backend.key"])
    check_arrival(stage, sensor, sink, frames)


@test()
def test_stop_without_backend(stage):
    """A stop while the backend is down ends within backend.timeout and books what it drops"""
    stage.pair()
    sensor = stage.sensor(backend__timeout="2s")
    frames = send_some(stage, 1)
    check_down(stage, sensor, frames, "the backend refuses connections")
    before = sensor.position()
    sensor.stop()
    line = sensor.wait_log("msg=stopped", before)
    if "records_acked=0" not in line or "records_dropped=0" in line or "books_difference=0" not in line:
        raise Failure(f"the last line is: {line}")
    stage.check_nothing_left("v0")
