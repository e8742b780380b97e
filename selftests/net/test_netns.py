# SPDX-License-Identifier: Apache-2.0
"""interfaces.netns: all: what pods say to themselves, inside their own network namespaces."""
import re
import signal

import kernel
import tally
from harness import HOOKS, test
from localhost import PAUSE, cgroups, crowd, end, hooks, pods_of, require_row, require_talks, talk, wait_attached
from pod import Pod
from process import Failure, wait_until


@test(quick=True, variants=HOOKS)
def test_localhost(stage, *options):
    """Sidecar and application over localhost: counted once, to the byte, and the same tuple in two pods is two flows"""
    top = cgroups(stage)
    pods = pods_of(stage, top, 1, 2)
    # As a pod with hostNetwork: in the sensor's own namespace, which is not attached a second time.
    host = Pod(stage, top, 3)
    host.namespace = stage.host
    host.run(PAUSE)
    sink, sensor = stage.sink(), stage.sensor(*options)
    wait_attached(sensor, pods)
    if any(kernel.tcx_programs(stage.host, "lo").values()) or kernel.our_filters(stage.host, "lo"):
        raise Failure("the host's lo is attached")
    talks = {pod: [talk(stage, pod)] for pod in pods}
    status = stage.settled(sensor)
    require_talks(sink, talks)

    seen = require_row(status)
    if sink.packets() != seen or tally.seen(status) != 2 * seen:
        raise Failure(f"seen {tally.seen(status)}, {seen} of them at lo; at the sink {sink.packets()}")
    connections = [record for record in sink.records() if record["network.iana_number"] == "6"]
    for pod in pods:
        sent = sum(record["source.bytes"] for record in connections if record["source.k8s.pod.name"] == pod.name)
        if not talks[pod][0].size < sent < 1.2 * talks[pod][0].size + 4000:
            raise Failure(f"{sent} bytes of a connection that carried {talks[pod][0].size}")
    domains = {entry["formatted"]["key"]["domain"] for entry in tally.dump(stage.bpffs, "flows")}
    if domains != {1, 2}:
        raise Failure(f"domains: {domains}")
    sensor.stop()
    if not all(hooks(pod, 0) for pod in pods):
        raise Failure("hooks are left in pods")
    stage.check_nothing_left("lxc1")


def gone(stage, pod):
    """The kernel let go of the namespace: its veth, whose other end is here, went with it."""
    return f"lxc{pod.n}" not in stage.host.ip("link", "show")


@test(variants=HOOKS)
def test_come_and_go(stage, *options):
    """Pods come and go under traffic: all is counted, no namespace is kept alive, no descriptor or series is left"""
    top = cgroups(stage)
    stays, = pods_of(stage, top, 1)
    sink, sensor = stage.sink(), stage.sensor(*options)
    talks, warm = {stays: []}, None
    for n in range(2, 10):
        pod, = pods_of(stage, top, n)
        wait_attached(sensor, [stays, pod])
        talks[stays].append(talk(stage, stays))
        talks[pod] = [talk(stage, pod)]
        if n % 2:
            # Not even a sensor that does nothing keeps it: the hooks are still attached then.
            sensor.send_signal(signal.SIGSTOP)
        end(pod)
        wait_until(lambda: gone(stage, pod), "the namespace to end")
        sensor.send_signal(signal.SIGCONT)
        wait_attached(sensor, [stays])
        wait_until(lambda: not sensor.interface(f"lxc{n}"), "the veth to be let go")
        state = sensor.descriptors(), len(sensor.metrics())
        warm = warm or state
        if state != warm:
            raise Failure(f"descriptors and series: {state}, before {warm}")
    status = stage.settled(sensor)
    require_talks(sink, talks)
    if sink.packets() != tally.observed(status)[0]:
        raise Failure(f"{sink.packets()} packets at the sink, observed {tally.observed(status)[0]}")
    sensor.stop()
    stage.check_nothing_left("lxc1")


@test(variants=HOOKS)
def test_killed(stage, *options):
    """Killed: the kernel counts on in the pods; the next sensor finds them again, those that came, those that went"""
    top = cgroups(stage)
    stays, goes = pods_of(stage, top, 1, 2)
    sink, sensor = stage.sink(), stage.sensor(*options)
    wait_attached(sensor, [stays, goes])
    talks = {stays: [talk(stage, stays)], goes: [talk(stage, goes)]}
    stage.settled(sensor)
    sensor.kill()
    for pod in stays, goes:
        talks[pod].append(talk(stage, pod))
    end(goes)
    wait_until(lambda: gone(stage, goes), "the namespace to end")
    comes, = pods_of(stage, top, 3)

    sensor = stage.sensor(*options)
    wait_attached(sensor, [stays, comes])
    talks[stays].append(talk(stage, stays))
    talks[comes] = [talk(stage, comes)]
    status = stage.settled(sensor)
    require_talks(sink, talks, [goes])
    if sink.packets() != tally.observed(status)[0]:
        raise Failure(f"{sink.packets()} packets at the sink, observed {tally.observed(status)[0]}")
    sensor.stop()
    stage.check_nothing_left("lxc1", "lxc3")
    if not all(hooks(pod, 0) for pod in (stays, comes)):
        raise Failure("hooks are left in pods")


@test(variants=HOOKS)
def test_other_layout(stage, *options):
    """Killed, then another flows.max: the hooks in pods move over, under traffic, and nothing is lost or doubled"""
    top = cgroups(stage)
    pods = pods_of(stage, top, 1, 2)
    sink, sensor = stage.sink(), stage.sensor(*options)
    wait_attached(sensor, pods)
    talks = {pod: [talk(stage, pod)] for pod in pods}
    stage.settled(sensor)
    sensor.kill()
    for pod in pods:
        talks[pod].append(talk(stage, pod))
    sensor = stage.sensor(*options, flows__max=2000)
    wait_attached(sensor, pods)
    status = stage.settled(sensor)
    if sink.packets() != tally.observed(status)[0]:
        raise Failure(f"{sink.packets()} packets at the sink, observed {tally.observed(status)[0]}")
    require_talks(sink, talks)
    sensor.stop()
    stage.check_nothing_left("lxc1")


@test(variants=HOOKS)
def test_detached(stage, *options):
    """sonde detach, and a sensor for the host alone, remove what a killed one left in pods"""
    pods = pods_of(stage, cgroups(stage), 1, 2)
    for way in "host", "detach":
        sensor = stage.sensor(*options)
        wait_attached(sensor, pods)
        sensor.kill()
        if not all(hooks(pod) for pod in pods):
            raise Failure("the hooks went with the sensor")
        if way == "host":
            sensor = stage.sensor(*options, interfaces__netns="host")
            stage.config(interfaces__netns="all")
            names = [entry["name"] for entry in sensor.status()["interfaces"]]
            if sorted(names) != ["lxc1", "lxc2"]:
                raise Failure(f"attached: {names}")
            left = [pod for pod in pods if not hooks(pod, 0)]
            sensor.stop()
        else:
            code, out, error = stage.sonde("detach")
            left = [pod for pod in pods if not hooks(pod, 0)]
            if code or "detached 8 hooks" not in out:
                raise Failure(f"sonde detach: exit code {code}, {out} {error}")
        if left:
            raise Failure(f"hooks are left in {[pod.name for pod in left]}")
    stage.check_nothing_left("lxc1", "lxc2")


@test()
def test_devices(stage):
    """Inside, what has its other end elsewhere is seen there, and left alone; a device without one is attached when up"""
    pod, = pods_of(stage, cgroups(stage), 1)
    pod.namespace.ip("tuntap", "add", "alone", "mode", "tap")
    sensor = stage.sensor()
    wait_attached(sensor, [pod])
    if any(entry["name"] not in ("lxc1", "pods/lo") for entry in sensor.status()["interfaces"]):
        raise Failure(f"attached: {sensor.status()['interfaces']}")
    pod.namespace.ip("link", "set", "alone", "up")
    wait_until(lambda: sensor.interface("pods/alone"), "the device that is up")
    pod.namespace.ip("link", "del", "alone")
    wait_until(lambda: not sensor.interface("pods/alone"), "the device to be let go")
    sensor.stop()
    stage.check_nothing_left("lxc1")


@test(variants={"CAP_SYS_ADMIN": ("sys_admin",), "CAP_SYS_PTRACE": ("sys_ptrace",)})
def test_without_capability(stage, capability):
    """Without the capability one line says so, check too, it is counted, and the host is watched"""
    stage.pair()
    pods = pods_of(stage, cgroups(stage), 1, 2)
    # A process with more capabilities than the sensor shows its namespace to CAP_SYS_PTRACE alone.
    without = ["setpriv", "--bounding-set", "-" + capability]
    stage.sink()
    sensor = stage.sensor(through=without)
    said = [line for line in sensor.lines if re.search(f"level=warn.*missing=CAP_{capability.upper()}", line)]
    if len(said) != 1:
        raise Failure(f"the log says {said}")
    refused = sensor.metrics()['sonde_network_namespaces_refused_total{reason="permission"}']
    if refused != len(pods) or sensor.status()["network_namespaces"]["refused"] != {"permission": len(pods)}:
        raise Failure(f"refused: {refused}, {sensor.status()['network_namespaces']}")
    if not kernel.both_hooks(stage.host, "v0") or not all(hooks(pod, 0) for pod in pods):
        raise Failure("wrong interfaces are attached")
    code, out, _ = stage.sonde("check", through=without)
    if f"warn  CAP_{capability.upper()}" not in out or "can run here" not in out:
        raise Failure(f"sonde check: {code} {out}")
    sensor.stop()
    stage.check_nothing_left("v0")


@test()
def test_crowd(stage):
    """250 pods are all attached, and let go when they end"""
    stage.pair()
    process = crowd(stage, 250)
    sensor = stage.sensor()
    status = sensor.status()
    if status["network_namespaces"] != {"attached": 250, "refused": {}} or len(status["interfaces"]) != 2:
        raise Failure(f"{status['network_namespaces']}, {len(status['interfaces'])} interfaces")
    process.stdin.close()
    process.wait()
    wait_until(lambda: sensor.status()["network_namespaces"]["attached"] == 0, "all to be let go")
    sensor.stop()
    stage.check_nothing_left("v0")


@test(long=True)
def test_too_many(stage):
    """More pods than there is room for: the rest is counted and told, and the host's interfaces find room all the same"""
    stage.pair()
    crowd(stage, 520)
    sensor = stage.sensor()
    sensor.wait_log("level=warn.*too many interfaces in pods")
    if sensor.status()["network_namespaces"] != {"attached": 511, "refused": {"full": 9}}:
        raise Failure(f"{sensor.status()['network_namespaces']}")
    if sensor.metrics()["sonde_interfaces_attached"] != 512 or not kernel.both_hooks(stage.host, "v0"):
        raise Failure(f"{sensor.metrics()['sonde_interfaces_attached']} interfaces: {sensor.status()['interfaces']}")
    sensor.stop()
    stage.check_nothing_left("v0")
