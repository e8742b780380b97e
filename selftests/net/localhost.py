# SPDX-License-Identifier: Apache-2.0
"""Pods that talk to themselves over localhost, the hooks inside, and what must be told of it."""
import os
import subprocess
import sys
import uuid
from collections import namedtuple

import kernel
from pod import Pod, cgroup2, remove_cgroups
from process import Failure, clean_environment, wait_until

PAUSE = "import sys; print('ready', flush=True); sys.stdin.read()"
# A sidecar that answers each datagram with two of its kind, and a connection with its size; an application that asks.
SIDECAR = """
import socket, sys
udp, tcp, count = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), int(sys.argv[1])
udp.bind(("127.0.0.1", 5000)); tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("127.0.0.1", 8080)); tcp.listen(); print("ready", flush=True)
for _ in range(count):
    data, address = udp.recvfrom(2000)
    udp.sendto(data, address); udp.sendto(data, address)
connection, _ = tcp.accept()
size = 0
while True:
    data = connection.recv(1 << 20)
    if not data: break
    size += len(data)
connection.sendall(b"%d" % size)
"""
APPLICATION = """
import socket, sys
udp, tcp, count, size = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), *map(int, sys.argv[1:3])
udp.bind(("127.0.0.1", 6000)); udp.connect(("127.0.0.1", 5000)); udp.settimeout(20)
for _ in range(count):
    udp.send(b"x" * 100); udp.recv(2000); udp.recv(2000)
tcp.connect(("127.0.0.1", 8080)); tcp.sendall(b"y" * size); tcp.shutdown(socket.SHUT_WR)
while True:
    data = tcp.recv(100)
    if not data: break
    assert int(data) == size, data
"""
# Namespaces, each with a process in a cgroup of its own: those that standard input names, up to an empty line.
CROWD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
end, ends = os.pipe()
while (line := sys.stdin.readline()) != "\\n":
    ready, done = os.pipe()
    if not os.fork():
        os.close(ends)
        with open(line.rstrip() + "/cgroup.procs", "w") as file: file.write("0")
        if libc.unshare(0x40000000): os._exit(1)
        os.write(done, b".")
        os.read(end, 1)
        os._exit(0)
    os.close(done)
    if os.read(ready, 1) != b".": sys.exit("unshare")
    os.close(ready)
print("ready", flush=True)
sys.stdin.read()
os.close(ends)
try:
    while os.wait(): pass
except ChildProcessError: pass
"""
Talk = namedtuple("Talk", "count size")


def cgroups(stage):
    """Of this test's pods; the sensor is shown no other: their namespaces are not ours to enter."""
    top = os.path.join(cgroup2(), "sonde-test-" + stage.key)
    os.mkdir(top)
    stage.on_close(lambda: remove_cgroups(top))
    stage.config(interfaces__netns="all", node__cgroup_root=top, sockets__enabled=True)
    return os.path.join(top, "kubepods")


def started(process):
    if process.stdout.readline() != "ready\n":
        raise Failure("a process in a pod does not start")
    return process


def pods_of(stage, top, *numbers):
    """Pods with a process each, as the pause container's, that keeps the namespace in use."""
    pods = [Pod(stage, top, n) for n in numbers]
    for pod in pods:
        pod.pause = started(pod.run(PAUSE))
    return pods


def end(pod):
    """All its processes end, and its namespace is removed, as far as the kernel lets it go."""
    for process in pod.processes:
        process.kill()
        process.wait()
    remove_cgroups(os.path.dirname(pod.cgroup))
    pod.namespace.delete()


def talk(stage, pod):
    """The pod's two containers talk over localhost, with the same addresses and ports in each pod."""
    said = Talk(stage.random.randint(5, 300), stage.random.randint(1, 4 << 20))
    sidecar = started(pod.run(SIDECAR, str(said.count)))
    for process in pod.run(APPLICATION, str(said.count), str(said.size)), sidecar:
        if process.wait(30):
            raise Failure(f"a process in {pod.name} ended with {process.returncode}")
    return said


def wait_attached(sensor, pods, inside=1):
    """Hooks on the loopback devices of all these pods, once each."""
    for pod in pods:
        wait_until(lambda: hooks(pod, inside), f"hooks on lo in {pod.name}")
    wait_until(lambda: sensor.status()["network_namespaces"]["attached"] == len(pods),
               lambda: f"{len(pods)} namespaces: {sensor.status()['network_namespaces']}")


def hooks(pod, inside=1):
    """True: INSIDE programs a direction on its lo."""
    programs = kernel.tcx_programs(pod.namespace, "lo")
    filters = kernel.our_filters(pod.namespace, "lo")
    if any(len(ids) > 1 for ids in programs.values()) or filters > 2:
        raise Failure(f"attached twice in {pod.name}: {programs}, {filters} filters")
    return sum(len(ids) for ids in programs.values()) + filters == 2 * inside


def require_talks(sink, talks, nameless=()):
    """
    TALKS: {pod: [Talk, ...]}. The datagrams of each pod are flows of its own, to the byte, although addresses and ports
    are the same in all; both ends have the pod's names, but for those of NAMELESS, which nobody could see living.
    """
    told = {}
    for record in sink.records():
        if record["network.iana_number"] == "17" and record["destination.port"] == 5000:
            entry = told.setdefault(record["sonde.flow.id"], [0, 0, 0, 0, set()])
            for i, key in enumerate(("source.packets", "source.bytes", "destination.packets", "destination.bytes")):
                entry[i] += record[key]
            entry[4] |= {record.get(end + ".k8s.pod.name") for end in ("source", "destination")}
            # What a former layout counted is read without its interfaces.
            if record.get("network.interface.name", "lo") != "lo":
                raise Failure(f"seen at {record['network.interface.name']}")
    expected = []
    for pod, said in talks.items():
        count = sum(talk_.count for talk_ in said)
        names = {pod.name, None} if pod in nameless else {pod.name}
        expected.append([count, count * 128, 2 * count, 2 * count * 128, names])
    if sorted(told.values(), key=str) != sorted(expected, key=str):
        raise Failure(f"flows: {sorted(told.values(), key=str)}, expected {sorted(expected, key=str)}")


def require_row(status):
    """Of what goes out at lo everything is observed, and all of it comes in again as a duplicate."""
    row = next(entry for entry in status["interfaces"] if entry["name"] == "pods/lo")
    out, back = row["egress"], row["ingress"]
    if out["skipped"] or out["observed"] != out["seen"] or back["skipped"] != {"duplicate": out["seen"]}:
        raise Failure(f"pods/lo: {row}")
    return out["seen"]


def crowd(stage, number):
    """NUMBER namespaces, each with one process, in a cgroup as a pod's."""
    top, names = cgroups(stage), []
    for _ in range(number):
        uid, container = uuid.UUID(int=stage.random.getrandbits(128)), stage.random.getrandbits(256)
        names.append(f"{top}/besteffort/pod{uid}/{container:064x}")
        os.makedirs(names[-1])
    process = subprocess.Popen([sys.executable, "-c", CROWD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=clean_environment())
    stage.on_close(process.stdout.close)
    stage.on_close(process.wait)
    stage.on_close(process.stdin.close)
    process.stdin.write("".join(name + "\n" for name in names) + "\n")
    process.stdin.flush()
    return started(process)
