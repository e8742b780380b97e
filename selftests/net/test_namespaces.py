# SPDX-License-Identifier: Apache-2.0
"""Pods of namespaces that are not to be observed: skipped at every hook, whatever comes first, pod or rule."""
import os
import time

import tally
from harness import HOOKS, test
from pod import Pod, cgroup2, remove_cgroups
from process import Failure, wait_until

# What runs in a pod: a datagram to each address and port that it is told, one a line.
SENDER = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 5000))
for line in sys.stdin:
    address, port, count = line.split()
    for _ in range(int(count)):
        udp.sendto(b"x" * 100, (address, int(port)))
    print("sent", flush=True)
"""
OUTSIDE = "10.9.0.2"


class Sender:
    """A pod that sends datagrams to the outside when it is told."""

    def __init__(self, pod):
        self.pod, self.process = pod, pod.run(SENDER)

    def send(self, port, count=10):
        self.process.stdin.write(f"{OUTSIDE} {port} {count}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "sent\n":
            raise Failure("the pod does not send")


def rules(*pairs):
    return [{"match": match, "action": action} for match, action in pairs]


def cluster(stage, *namespaces):
    """Pods of these namespaces, that reach the outside through the host."""
    top = os.path.join(cgroup2(), "sonde-test-" + stage.key)
    os.mkdir(top)
    stage.on_close(lambda: remove_cgroups(top))
    stage.pair()
    stage.host.address("v0", "10.9.0.1/24")
    stage.peer.address("p0", OUTSIDE + "/24")
    stage.host.neighbour("v0", OUTSIDE, stage.peer, "p0")
    stage.host.sysctl("ipv4/ip_forward", 1)
    return [Pod(stage, os.path.join(top, "kubepods"), n, namespace) for n, namespace in enumerate(namespaces, 1)]


def counts(sink):
    """{(sender, port): packets} of what went to the outside."""
    totals = tally.of_records(sink.records())
    return {(key[1], key[4]): entry[0] for key, entry in totals.items() if key[0] == 17 and key[3] == OUTSIDE}


def wait_skipped(sensor, packets):
    wait_until(lambda: tally.skipped(sensor.status(), "namespace") == packets,
               lambda: f"{packets} packets of denied namespaces; there are "
               f"{tally.skipped(sensor.status(), 'namespace')}")


@test(quick=True, variants=HOOKS)
def test_rules(stage, *options):
    """Packets of a denied namespace are skipped at both hooks, the other's are observed, and SIGHUP changes it"""
    shop, system = (Sender(pod) for pod in cluster(stage, "shop", "kube-system"))
    sink, sensor = stage.sink(), stage.sensor(*options, namespaces=rules(("kube-*", "deny")),
                                              sockets__enabled=True)
    shop.send(1000)
    system.send(1000)
    stage.settled(sensor)
    wait_until(lambda: counts(sink) == {(shop.pod.address, 1000): 10}, lambda: f"the shop's packets: {counts(sink)}")
    wait_skipped(sensor, 20)  # coming in from the pod, going out to the outside

    # The flows are the same, the rules are the other way round.
    sensor.reload(namespaces=rules(("kube-*", "allow"), ("*", "deny")))
    time.sleep(0.1)  # longer than a CPU counts a flow for itself
    shop.send(1000)
    system.send(1000)
    expected = {(shop.pod.address, 1000): 10, (system.pod.address, 1000): 10}
    wait_until(lambda: counts(sink) == expected, lambda: f"{expected}: {counts(sink)}")
    wait_skipped(sensor, 40)

    sensor.reload(namespaces=[])
    shop.send(1000)
    expected[shop.pod.address, 1000] = 20
    wait_until(lambda: counts(sink) == expected, lambda: f"{expected}: {counts(sink)}")
    wait_skipped(sensor, 40)
    sensor.reload(namespaces=rules(("shop", "deny")))
    shop.send(2000)
    wait_skipped(sensor, 60)
    stage.settled(sensor)
    if counts(sink) != expected:
        raise Failure(f"{expected}: {counts(sink)}")
    lines = sensor.reload(namespaces=["kube-*"])
    if not any("not valid, keeping the old one" in line and "is no rule" in line for line in lines):
        raise Failure(f"a rule that is a text is not told: {lines}")
    stage.note_objects()
    sensor.stop()
    stage.check_nothing_left("v0", "lxc1", "lxc2")


@test(quick=True, variants=HOOKS)
def test_late_names(stage, *options):
    """A pod waits for its namespace: it is counted and not sampled, and decided within a second of being named"""
    pods = cluster(stage, "shop", "secret")
    for pod in pods:
        os.rename(pod.logs, pod.logs + ".later")
    shop, secret = (Sender(pod) for pod in pods)
    sink, sensor = stage.sink(), stage.sensor(*options, namespaces=rules(("secret", "deny")),
                                              packets__head_bytes="1MiB", sockets__enabled=True)
    shop.send(1000)
    secret.send(1000)
    expected = {(pod.address, 1000): 10 for pod in pods}
    wait_until(lambda: counts(sink) == expected, lambda: f"{expected}: {counts(sink)}")
    stage.settled(sensor)
    if sink.records("sonde.packet"):
        raise Failure("packets of pods that wait were sampled")

    for pod in pods:
        os.rename(pod.logs + ".later", pod.logs)
    time.sleep(1)  # which is promised
    shop.send(1000)
    secret.send(1000)
    expected[shop.pod.address, 1000] = 20
    wait_until(lambda: counts(sink) == expected, lambda: f"{expected}: {counts(sink)}")
    wait_skipped(sensor, 20)
    stage.settled(sensor)
    sampled = {record["source.address"] for record in sink.records("sonde.packet")}
    if sampled != {shop.pod.address}:
        raise Failure(f"samples of {sampled}")
    sensor.stop()
    stage.check_nothing_left("v0", "lxc1", "lxc2")
