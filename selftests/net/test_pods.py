# SPDX-License-Identifier: Apache-2.0
"""Pod to pod through the host: counted once, named at both ends."""
import os
import re

import tally
from harness import HOOKS, test
from pod import Pod, cgroup2, remove_cgroups
from process import Failure

# What runs in the pods: a server that answers so many datagrams and connections, a client that asks.
SERVER = """
import socket, sys
host, udp, tcp, count = sys.argv[1], socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), int(sys.argv[2])
udp.bind((host, 53)); tcp.bind((host, 80)); tcp.listen(); print("ready", flush=True)
for _ in range(count):
    data, address = udp.recvfrom(2000)
    udp.sendto(data * 2, address)
connection, _ = tcp.accept()
connection.sendall(connection.recv(100) * 10)
connection.shutdown(socket.SHUT_WR)
connection.recv(1)
"""
CLIENT = """
import socket, sys
host, udp, tcp, count = sys.argv[1], socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(), int(sys.argv[2])
udp.connect((host, 53)); udp.settimeout(20)
for n in range(count):
    udp.send(b"x" * 100); udp.recv(2000)
tcp.connect((host, 80)); tcp.sendall(b"y" * 100)
while tcp.recv(2000): pass
"""


def converse(client, server, count):
    answering = server.run(SERVER, server.address, str(count))
    if answering.stdout.readline() != "ready\n":
        raise Failure("the server in the pod does not start")
    for process in client.run(CLIENT, server.address, str(count)), answering:
        if process.wait(30):
            raise Failure(f"a process in a pod ended with {process.returncode}")


@test(quick=True, variants=HOOKS)
def test_pod_to_pod(stage, *options):
    """Two pods talk through the host: each packet counted once, duplicate at the other hook, both ends named"""
    # As deep as a nested kubelet's, so that nobody else's kubepods is met.
    top = os.path.join(cgroup2(), "sonde-test-" + stage.key)
    os.mkdir(top)
    stage.on_close(lambda: remove_cgroups(top))
    stage.host.sysctl("ipv4/ip_forward", 1)
    pods = [Pod(stage, os.path.join(top, "kubepods"), n) for n in (1, 2)]
    client, server = pods
    sink, sensor = stage.sink(), stage.sensor(*options, sockets__enabled=True)
    count = stage.random.randint(5, 50)
    converse(client, server, count)

    status = stage.settled(sensor)
    totals = tally.of_records(sink.records())
    dns = {key: entry for key, entry in totals.items() if key[0] == 17}
    if sorted(dns.values()) != [[count, count * 128], [count, count * 228]]:
        raise Failure(f"{count} questions and answers: {dns}")
    # What the veth of one pod observes coming in, the other's skips going out.
    accounts = {(name, direction): account for name, direction, account in tally.hooks(status)}
    for one, other in ("lxc1", "lxc2"), ("lxc2", "lxc1"):
        inward, outward = accounts[one, "ingress"], accounts[other, "egress"]
        if inward["observed"] <= count or outward["skipped"].get("duplicate") != inward["observed"]:
            raise Failure(f"{one} ingress: {inward}\n{other} egress: {outward}")
    records = [record for record in sink.records() if record["network.iana_number"] in ("6", "17")]
    for record in records:
        for end, pod in ("source", client), ("destination", server):
            told = {key.removeprefix(end + "."): value for key, value in record.items()
                    if re.match(end + r"\.(k8s|container)\.", key)}
            # The first record of a flow may be older than its answers.
            if record[end + ".packets"] and (told != pod.owner() or record[end + ".address"] != pod.address):
                raise Failure(f"{end} is {record[end + '.address']}, {told}; expected {pod.owner()}")
    ports = {record["destination.port"] for record in records}
    if ports != {53, 80}:
        raise Failure(f"initiators are mistaken: destination ports {ports}")
    sensor.stop()
    stage.check_nothing_left("lxc1", "lxc2")
