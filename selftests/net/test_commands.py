# SPDX-License-Identifier: Apache-2.0
"""Exit codes and messages of the commands."""
import json
import os
import re

from harness import test
from process import Failure


def expect(result, code, output="", error=""):
    """RESULT of stage.sonde(): the exit code, and patterns that standard output and standard error have."""
    told, out, err = result
    if told != code or not re.search(output, out) or not re.search(error, err):
        raise Failure(f"exit code {told}, expected {code}; output, expected \"{output}\":\n{out}"
                      f"errors, expected \"{error}\":\n{err}")


@test(quick=True)
def test_usage(stage):
    """Wrong usage and wrong configuration: exit code 2, and what is wrong"""
    def sonde(*args, **options):
        return stage.sonde(*args, config=False, **options)
    expect(sonde(), 2, error="usage: sonde COMMAND")
    expect(sonde("fly"), 2, error='unknown command "fly"')
    expect(sonde("--help"), 0, "usage: sonde COMMAND")
    expect(sonde("version"), 0, r"^sonde \d+\.\d+\.\d+\n$")
    expect(sonde("version", "--json"), 2, error='unknown option "--json"')
    for command in "run", "status", "check", "detach":
        expect(sonde(command, "--help"), 0, "usage: sonde " + command)
        expect(sonde(command, "--fly"), 2, error='unknown option "--fly"')
        expect(sonde(command, "now"), 2, error='unexpected argument "now"')
        expect(sonde(command, "--set"), 2, error="a value is missing")
        expect(sonde(command, "--set", "flow.max=3"), 2, error='flow.max.*did you mean "flows.max"')
        expect(sonde(command, "--set", "flows.max=many"), 2, error="flows.max.*many.*16 to 16777216")
        expect(sonde(command, environment={"SONDE_FLOWS_INTERVAL": "10"}), 2, error="SONDE_FLOWS_INTERVAL.*unit")
        expect(sonde(command, "-c", stage.dir + "/none.yaml"), 2, error="none.yaml.*No such file")
    expect(sonde("run", "--without", "wings"), 2, error='unknown feature "wings"')


@test(quick=True)
def test_nobody_runs(stage):
    """Without a sensor: status fails and says so, detach has nothing to do"""
    expect(stage.sonde("status"), 1, error="no sensor answers on " + re.escape(stage.control))
    expect(stage.sonde("status", "--json"), 1, "^$", "no sensor answers")
    expect(stage.sonde("detach"), 0, "nothing to detach")
    if os.path.lexists(stage.bpffs):
        raise Failure("a directory for pins was made")


@test(quick=True)
def test_second_sensor(stage):
    """A second sensor on the same pins, socket or port is refused, and disturbs nothing"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor()
    stage.on_close(lambda: os.path.isdir(stage.bpffs + "-b") and os.rmdir(stage.bpffs + "-b"))
    expect(stage.sonde("run"), 1, error="another sensor runs with the same bpffs directory")
    expect(stage.sonde("run", "--set", f"bpffs={stage.bpffs}-b"), 1,
           error="another sensor answers on the control socket")
    expect(stage.sonde("run", "--set", f"bpffs={stage.bpffs}-b", "--set", f"control={stage.control}-b"), 1,
           error="the metrics endpoint cannot listen.*Address already in use")
    for path in stage.bpffs + "-b", stage.control + "-b":
        if os.path.lexists(path):
            raise Failure(f"{path} is left by a sensor that did not start")
    expect(stage.sonde("detach"), 1, error="a sensor is running with these pins")
    expect(stage.sonde("status"), 0, r"v0\s+tcx\s+ingress(?s:.*)books\s+balanced")
    stage.settled(sensor)
    sensor.stop()
    sink.stop()
    stage.check_nothing_left("v0")


@test(quick=True)
def test_control_path(stage):
    """A file of somebody else's at the path of the control socket is not removed"""
    with open(stage.control, "w") as file:
        file.write("mine")
    expect(stage.sonde("run"), 1, error="the control socket cannot be made")
    expect(stage.sonde("detach"), 1, error="cannot remove the socket")
    with open(stage.control) as file:
        if file.read() != "mine":
            raise Failure("the file was changed")
    os.unlink(stage.control)
    expect(stage.sonde("detach"), 0)


@test(quick=True)
def test_not_bpffs(stage):
    """A bpffs path on another file system is refused with a message"""
    expect(stage.sonde("run", "--set", f"bpffs={stage.dir}/pins"), 1, error="not on a BPF file system")


@test(quick=True)
def test_check(stage):
    """sonde check: what it found, as text and JSON; exit code 1 where the sensor could not run"""
    expect(stage.sonde("check"), 1, r"fail\s+backend.*refuses connections(?s:.*)cannot run here as configured")
    stage.sink()
    expect(stage.sonde("check"), 0, r"ok\s+backend.*answers with 200(?s:.*)the sensor can run here")
    code, out, _ = stage.sonde("check", "--json")
    report = json.loads(out)
    names = {check["name"]: check["result"] for check in report["checks"]}
    if code or report["ok"] is not True or names.get("programs") != "ok" or names.get("CAP_BPF") != "ok":
        raise Failure(f"check --json: exit code {code}, {report}")
    expect(stage.sonde("check", "--without", "tcx"), 0, "tcx.*clsact filters instead")
    expect(stage.sonde("check", "--without", "sockets"), 0, r"sockets\s+not used")
    os.makedirs(stage.dir + "/log/pods")
    expect(stage.sonde("check", "--set", f"node.pods_dir={stage.dir}/log/pods"), 0,
           r"ok\s+addresses.*rtnetlink\nok\s+pods(?s:.*)warn\s+containers.*told by their id only")
    expect(stage.sonde("check", "--set", f"backend.cert={stage.pki.path('expired.crt')}"), 1,
           r"fail\s+backend.cert.*expired")
    expect(stage.sonde("check", "--set", f"backend.ca={stage.pki.foreign}/ca.crt"), 1, "not signed by backend.ca")
    expect(stage.sonde("check", "--set", f"bpffs={stage.dir}/pins"), 1, r"fail\s+bpffs")
    if os.path.lexists(stage.bpffs) or os.path.lexists(stage.dir + "/pins"):
        raise Failure("check left a directory for pins")
