# SPDX-License-Identifier: Apache-2.0
"""A packet on its way through several interfaces is counted once, at the earliest hook, whatever happens on the way."""
import socket
import time

import tally
from harness import HOOKS, nft, test
from process import Failure, wait_until

POD, OTHER, OUTSIDE = "10.8.0.2", "10.8.0.3", "10.7.0.2"


def node(stage):
    """
    Pods p1 and p2 on a bridge in "host", which routes to "peer" over the NIC v0: veth1 and veth2 are the host's ends of the
    pods' interfaces.
    """
    stage.pair()
    stage.host.address("v0", "10.7.0.1/24")
    stage.peer.address("p0", OUTSIDE + "/24")
    stage.peer.ip("route", "add", "10.8.0.0/24", "via", "10.7.0.1")
    # A bridge that snoops joins a group of its own, and reports that.
    stage.host.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    stage.host.ip("link", "set", "br0", "up")
    stage.host.address("br0", "10.8.0.1/24")
    stage.host.sysctl("ipv4/ip_forward", 1)
    for n, address in (1, POD), (2, OTHER):
        pod = stage.namespace(f"pod{n}")
        stage.host.ip("link", "add", f"veth{n}", "type", "veth", "peer", "name", "eth0", "netns", pod.name)
        stage.host.ip("link", "set", f"veth{n}", "master", "br0", "up")
        pod.ip("link", "set", "eth0", "up")
        pod.address("eth0", address + "/24")
        pod.ip("route", "add", "default", "via", "10.8.0.1")


def listen(stage, namespace, address, port):
    """A socket there: what nobody listens to would be answered by ICMP."""
    sock = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stage.on_close(sock.close)
    sock.bind((address, port))
    return sock


def udp(*flows):
    """The totals of (source, port, destination, port, packets), 128 bytes of IP each."""
    expected = tally.Tally()
    for *key, packets in flows:
        expected.add((17, *key), packets, packets * 128)
    return expected


def hooks(sink, source):
    """Interface and direction of all flow records that SOURCE began."""
    return {(record["network.interface.name"], record["network.io.direction"])
            for record in sink.records() if record["source.address"] == source}


def require(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: {got}, expected {wanted}")


@test(quick=True, variants=HOOKS)
def test_bridge(stage, *options):
    """Pod to outside, outside to pod, pod to pod: once per direction, at the earliest hook"""
    node(stage)
    sink, sensor = stage.sink(), stage.sensor(*options)
    ways = ((stage.namespace("pod1"), POD, OUTSIDE, stage.peer), (stage.peer, OUTSIDE, OTHER, stage.namespace("pod2")),
            (stage.namespace("pod2"), OTHER, POD, stage.namespace("pod1")))
    for source, address, to, receiver in ways:
        listen(stage, receiver, to, 9)
        stage.blasted(stage.blast(source, "udp", address, 4000, to, 9, 5000, 100, 0, "any"))
    stage.wait_flows(sink, udp(*((address, 4000, to, 9, 5000) for _, address, to, _ in ways)))
    flows = stage.settled(sensor)["flows"]
    require([hooks(sink, address) for address in (POD, OUTSIDE, OTHER)],
            [{("veth1", "receive")}, {("v0", "receive")}, {("veth2", "receive")}], "the owning hooks")
    require((flows["takeovers"], flows["takeovers_ambiguous"]), (0, 0), "take-overs, ambiguous packets")


@test()
def test_dropped(stage):
    """A reply that is dropped between NIC and pod is observed once"""
    node(stage)
    nft(stage.host, "table ip t { chain c { type filter hook forward priority 0; iifname v0 drop; }; }")
    sink, sensor = stage.sink(), stage.sensor()
    server = listen(stage, stage.peer, OUTSIDE, 9)
    stage.blasted(stage.blast(stage.namespace("pod1"), "udp", POD, 4000, OUTSIDE, 9, 1000, 100, 0, "any"))
    server.close()
    stage.blasted(stage.blast(stage.peer, "udp", OUTSIDE, 9, POD, 4000, 1000, 100, 0, "any"))
    stage.wait_flows(sink, udp((POD, 4000, OUTSIDE, 9, 1000), (OUTSIDE, 9, POD, 4000, 1000)))
    stage.settled(sensor)
    require(sensor.interface("v0")["ingress"]["observed"], 1000, "replies observed at the NIC")
    require(sensor.interface("veth1")["egress"]["skipped"].get("duplicate", 0), 0, "replies that came to the pod")


def second_nic(stage):
    """v1 and p1, another way between host and outside; returns how the outside is told to take way N."""
    stage.pair(1)
    stage.host.address("v1", "10.6.0.1/24")
    stage.peer.address("p1", "10.6.0.2/24")
    # Who sends from it goes on when p0 and its address are gone.
    stage.peer.address("lo", OUTSIDE + "/32")
    for key in "all", "v0", "v1":
        stage.host.sysctl(f"ipv4/conf/{key}/rp_filter", 0)
    for n, gateway in (0, "10.7.0.1"), (1, "10.6.0.1"):
        stage.peer.neighbour(f"p{n}", gateway, stage.host, f"v{n}")
    return lambda n: stage.peer.ip("route", "replace", "10.8.0.0/24", "via", ("10.7.0.1", "10.6.0.1")[n],
                                   "dev", f"p{n}")


@test(variants=HOOKS)
def test_failover(stage, *options):
    """Uplinks take turns under steady traffic, then one is deleted: nothing lost, nothing doubled"""
    node(stage)
    uplink = second_nic(stage)
    sink, sensor = stage.sink(), stage.sensor(*options)
    listen(stage, stage.namespace("pod1"), POD, 9)
    sender = stage.blast(stage.peer, "udp", OUTSIDE, 4000, POD, 9, 0, 100, 5000, "any")
    wait_until(sink.packets, "the first packets, on way 0")
    for n in 1, 0, 1, 0:
        time.sleep(0.5)
        uplink(n)
    time.sleep(0.5)
    uplink(1)
    stage.host.ip("link", "del", "v0")
    time.sleep(0.5)
    if not sender.running():
        raise Failure("the sender did not go on when the NIC went")
    sent = stage.blasted(sender, stop=True)
    stage.wait_flows(sink, udp((OUTSIDE, 4000, POD, 9, sent)))
    flows = stage.settled(sensor)["flows"]
    require((flows["takeovers"], flows["takeovers_ambiguous"]), (5, 0), "take-overs, ambiguous packets")


@test()
def test_let_go(stage):
    """An owner that is not to be attached any more is replaced by the next hook"""
    node(stage)
    sink, sensor = stage.sink(), stage.sensor()
    listen(stage, stage.namespace("pod1"), POD, 9)
    stage.blasted(stage.blast(stage.peer, "udp", OUTSIDE, 4000, POD, 9, 1000, 100, 0, "any"))
    stage.wait_flows(sink, udp((OUTSIDE, 4000, POD, 9, 1000)))
    sensor.reload(interfaces__exclude=["v0"])
    wait_until(lambda: sensor.interface("v0") is None, "v0 to be detached")
    stage.blasted(stage.blast(stage.peer, "udp", OUTSIDE, 4000, POD, 9, 1000, 100, 0, "any"))
    stage.wait_flows(sink, udp((OUTSIDE, 4000, POD, 9, 2000)))
    stage.settled(sensor)


@test()
def test_translated(stage):
    """Address translation on the way: two flows, each with the other's addresses"""
    node(stage)
    nft(stage.host, "table ip t { chain c { type nat hook postrouting priority 100; oifname v0 masquerade; }; }")
    sink, sensor = stage.sink(), stage.sensor()
    server, client = listen(stage, stage.peer, OUTSIDE, 9), listen(stage, stage.namespace("pod1"), POD, 4000)
    for sock in server, client:
        sock.settimeout(10)
    for _ in range(3):
        client.sendto(bytes(100), (OUTSIDE, 9))
        _, back = server.recvfrom(200)
        server.sendto(bytes(100), back)
        client.recvfrom(200)
    stage.wait_flows(sink, udp((POD, 4000, OUTSIDE, 9, 3), (OUTSIDE, 9, POD, 4000, 3), (*back, OUTSIDE, 9, 3),
                               (OUTSIDE, 9, *back, 3)))
    stage.settled(sensor)
    last = {record["source.address"]: record for record in sink.records()}
    told = [(last[address].get("source.nat.ip"), last[address].get("source.nat.port", port))
            for address, port in ((POD, back[1]), (back[0], 4000))]
    require(told, [back, (POD, 4000)], "what the flows are translated to")
    if any("destination.nat.ip" in record for record in sink.records()):
        raise Failure("the outside is not translated, but a record says so")
