# SPDX-License-Identifier: Apache-2.0
"""The sensor's own connection to its backend is not observed."""
import tally
from frames import KINDS
from harness import HOOKS, test
from netns import veth
from process import Failure, wait_until

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


def transport(sink):
    """Totals of TCP and UDP: beside them there is IPv6's own traffic (neighbours, multicast groups)."""
    return tally.Tally({key: entry for key, entry in tally.of_records(sink.records()).items() if key[0] in (6, 17)})


def wait_transport(sink, frames):
    expected = tally.of_frames(frames)
    wait_until(lambda: transport(sink).packets() >= expected.packets(), "the records of all that was sent")
    transport(sink).require(expected, "TCP and UDP at the sink")


def check_self(sink, status):
    ports = {record.get(end + ".port") for record in sink.records() for end in ("source", "destination")}
    if 4318 in ports:
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
    wait_transport(sink, frames)
    check_self(sink, stage.settled(sensor))

    # The backend goes and comes back: RSTs, SYNs that are refused, another connection.
    sink.stop()
    more = [KINDS["udp4"](3, False, 10)] * 10
    stage.send(stage.peer, "p0", more)
    wait_until(lambda: not sensor.status()["backend"]["up"], "the backend to be down")
    sink = stage.sink(backend, address)
    wait_transport(sink, frames + more)
    check_self(sink, stage.settled(sensor))
    sensor.stop()
    transport(sink).require(tally.of_frames(frames + more), "flow records after the stop")
    stage.check_nothing_left("u0", "v0")
