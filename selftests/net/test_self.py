# SPDX-License-Identifier: Apache-2.0
"""The sensor's own connection to its backend is not observed."""
import os
import sys

import tally
from frames import KINDS
from harness import HOOKS, nft, test
from netns import veth
from process import Failure, wait_until

PROXY_PORT = 3128
# Takes CONNECT requests on the addresses that it is told.
PROXY = f"""
import socket, sys, threading
def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in source, target:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(client):
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += client.recv(4096)
    method, target = head.decode().split()[:2]
    host, _, port = target.rpartition(":")
    server = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
    print(method, target, flush=True)
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], {PROXY_PORT}), family=family)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

BACKENDS = {"IPv4": "10.8.0.2:4318", "IPv6": "[fd08::2]:4318"}
VARIANTS = {f"{family}, {hook}": (address, *options)
            for family, address in BACKENDS.items() for hook, options in HOOKS.items()}


def backend_behind_veth(stage):
    """The sink's namespace, reached from the host through u0, which is watched like any interface."""
    backend = stage.namespace("backend")
    veth(stage.host, "u0", backend, "u1")
    for namespace, interface, n in (stage.host, "u0", 1), (backend, "u1", 2):
        namespace.address(interface, f"10.8.0.{n}/24")
        namespace.address(interface, f"fd08::{n}/64")
    return backend


def check_self(sink, status):
    ports = {record.get(end + ".port") for record in sink.records() for end in ("source", "destination")}
    if ports & {4318, PROXY_PORT}:
        raise Failure("the sensor's own connection has a flow record")
    for direction in "ingress", "egress":
        account = next(account for name, side, account in tally.hooks(status) if (name, side) == ("u0", direction))
        # TLS' handshake alone takes more.
        if account["skipped"].get("self", 0) < 4:
            raise Failure(f"u0 {direction}: the connection's packets are not counted as self: {account}")
    if tally.observed(status)[0] != sink.packets():
        raise Failure("something was observed that has no record")


@test(quick=True, variants=VARIANTS)
def test_own_connection(stage, address, *options):
    """The connection to the backend is counted as self and has no flow, also when it is made anew"""
    backend = backend_behind_veth(stage)
    stage.pair()
    sink = stage.sink(backend, address)
    sensor = stage.sensor(*options, backend__url="https://" + address)
    frames = [KINDS["udp4"](1, False, 10), KINDS["tcp6"](2, False, 10)] * 20
    stage.send(stage.peer, "p0", frames)
    stage.wait_transport(sink, tally.of_frames(frames))
    check_self(sink, stage.settled(sensor))

    # The backend goes and comes back: RSTs, SYNs that are refused, another connection.
    sink.stop()
    more = [KINDS["udp4"](3, False, 10)] * 10
    stage.send(stage.peer, "p0", more)
    wait_until(lambda: not sensor.status()["backend"]["up"], "the backend to be down")
    sink = stage.sink(backend, address)
    stage.wait_transport(sink, tally.of_frames(frames + more))
    check_self(sink, stage.settled(sensor))
    sensor.stop()
    tally.of_transport(sink.records()).require(tally.of_frames(frames + more), "flow records after the stop")
    stage.check_nothing_left("u0", "v0")


PROXIES = {f"{family}, {hook}": (address, url, *options) for family, address, url in
           (("IPv4", "10.8.0.2", "10.8.0.2"), ("IPv6", "fd08::2", "[fd08::2]")) for hook, options in HOOKS.items()}


@test(quick=True, variants=PROXIES)
def test_proxy(stage, address, url, *options):
    """The connection to a proxy is the sensor's own, too, and the backend is reached through it only"""
    backend = backend_behind_veth(stage)
    stage.pair()
    proxy = stage.process("proxy", backend, [sys.executable, "-c", PROXY, address])
    proxy.wait_log("ready")
    # On the proxy's loopback: from the host there is no other way.
    sink = stage.sink(backend)
    sensor = stage.sensor(*options, backend__proxy=f"http://{url}:{PROXY_PORT}")
    frames = [KINDS["udp4"](1, False, 10), KINDS["tcp6"](2, False, 10)] * 20
    stage.send(stage.peer, "p0", frames)
    stage.wait_transport(sink, tally.of_frames(frames))
    check_self(sink, stage.settled(sensor))
    proxy.wait_log("CONNECT 127.0.0.1:4318")

    sensor.reload(backend__proxy='""')
    more = [KINDS["udp4"](3, False, 10)] * 10
    stage.send(stage.peer, "p0", more)
    wait_until(lambda: not sensor.status()["backend"]["up"], "the backend to be out of reach")
    sensor.reload(backend__proxy=f"http://{url}:{PROXY_PORT}")
    stage.wait_transport(sink, tally.of_frames(frames + more))
    check_self(sink, stage.settled(sensor))
    sensor.stop()
    stage.check_nothing_left("u0", "v0")


@test(variants=HOOKS)
def test_address_change(stage, *options):
    """The backend's name gets another address while records are shipped: the new connection is the sensor's own"""
    backend = backend_behind_veth(stage)
    stage.pair()
    hosts = os.path.join(stage.dir, "hosts")

    def move(address, listen):
        with open(hosts, "w") as file:
            file.write(f"{address} backend.test\n")
        return stage.sink(backend, listen)
    sink = move("10.8.0.2", BACKENDS["IPv4"])
    sensor = stage.sensor(*options, hosts=hosts, backend__url="https://backend.test:4318")
    sent = []
    for round_, (address, listen) in enumerate((("fd08::2", BACKENDS["IPv6"]), ("10.8.0.2", BACKENDS["IPv4"])), 1):
        frames = [KINDS["udp4"](2 * round_, False, 10)] * 50
        stage.send(stage.peer, "p0", frames)
        sink.stop()
        sent += frames
        frames = [KINDS["udp4"](2 * round_ + 1, False, 10)] * 50
        stage.send(stage.peer, "p0", frames)
        sent += frames
        sink = move(address, listen)
        stage.wait_transport(sink, tally.of_frames(sent))
        check_self(sink, stage.settled(sensor))
    sensor.stop()
    stage.check_nothing_left("u0", "v0")


@test(variants=HOOKS)
def test_translated(stage, *options):
    """A service address stands for the backend (DNAT and masquerading on this host): the connection is still its own"""
    backend = backend_behind_veth(stage)
    stage.pair()
    stage.host.ip("route", "add", "10.96.0.1", "via", "10.8.0.2")
    nft(stage.host, """table ip t {
        chain out { type nat hook output priority -100; ip daddr 10.96.0.1 tcp dport 443 dnat to 10.8.0.2:4318; }
        chain post { type nat hook postrouting priority 100; oifname u0 meta l4proto tcp masquerade random; }
    }""")
    hosts = os.path.join(stage.dir, "hosts")
    with open(hosts, "w") as file:
        file.write("10.96.0.1 backend.test\n")
    sink = stage.sink(backend, BACKENDS["IPv4"])
    sensor = stage.sensor(*options, hosts=hosts, backend__url="https://backend.test")
    sent = []
    for n in 1, 2:
        sent += [KINDS["udp4"](n, False, 10), KINDS["tcp6"](n, False, 10)] * 20
        stage.send(stage.peer, "p0", sent[-40:])
        stage.wait_transport(sink, tally.of_frames(sent))
        check_self(sink, stage.settled(sensor))
        # The connection is made anew: from another port, by the same translation.
        sink.stop()
        sink = stage.sink(backend, BACKENDS["IPv4"])
    sensor.stop()
    tally.of_transport(sink.records()).require(tally.of_frames(sent), "flow records after the stop")
    stage.check_nothing_left("u0", "v0")
