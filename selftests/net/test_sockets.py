# SPDX-License-Identifier: Apache-2.0
"""Socket hooks: records of connections, and processes named at both ends of a flow, old connections included."""
import os
import socket

from harness import test
from process import Failure, wait_until

PORT, CLOSED_PORT = 8443, 8444


def listen(stage):
    listener = stage.peer.socket(socket.AF_INET, socket.SOCK_STREAM)
    stage.on_close(listener.close)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("10.9.0.2", PORT))
    listener.listen()
    return listener


def connect(stage, listener):
    """Both ends, with something said by each."""
    client = stage.host.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(("10.9.0.2", PORT))
    server, _ = listener.accept()
    say(client, server)
    return client, server


def say(client, server):
    for one, other in (client, server), (server, client):
        one.sendall(b"x" * 1000)
        if len(other.recv(1000, socket.MSG_WAITALL)) != 1000:
            raise Failure("the connection does not carry data")


def wait_records(sink, what, kind, port, n, **values):
    """N records of a kind and of a connection to PORT, that have these values."""
    def told():
        return [record for record in sink.records(kind)
                if record.get("destination.port") == port and all(
                    record.get(key.replace("__", ".")) == value for key, value in values.items())]
    return wait_until(lambda: told() if len(told()) >= n else None, f"{n} records: {what}")


def check_process(record, *ends):
    for end in ends:
        if record.get(end + ".process.pid") != os.getpid():
            raise Failure(f"{end} is not named as process {os.getpid()}: {record}")


@test(quick=True)
def test_records(stage):
    """A connection made, accepted, and closed at both ends; one that is refused: a record each, with the process"""
    stage.routed_pair()
    listener, sink, sensor = listen(stage), stage.sink(), stage.sensor(sockets__enabled=True)
    client, server = connect(stage, listener)
    port = client.getsockname()[1]
    client.close()
    server.close()
    refused = stage.host.socket(socket.AF_INET, socket.SOCK_STREAM)
    if refused.connect_ex(("10.9.0.2", CLOSED_PORT)) == 0:
        raise Failure("somebody listens where nobody should")
    refused.close()

    for action, n, end in ("connect", 1, "source"), ("accept", 1, "destination"), ("close", 2, None):
        records = wait_records(sink, action, "sonde.socket", PORT, n, sonde__socket__action=action, source__port=port)
        if len(records) != n:
            raise Failure(f"{len(records)} records of {action}")
        if end:
            check_process(records[0], end)
    if not all(record.get("tcp.rtt_us", 0) > 0 for record in records):
        raise Failure(f"no round-trip times at the close: {records}")
    failed, = wait_records(sink, "fail", "sonde.socket", CLOSED_PORT, 1)
    check_process(failed, "source")
    if (failed["sonde.socket.action"], failed.get("error.type")) != ("fail", "connection_refused"):
        raise Failure(f"the refused connect is told as {failed}")
    sensor.stop()
    stage.check_nothing_left("v0")


@test(quick=True)
def test_found(stage):
    """A connection older than the sensor has its processes and its round-trip time from the first record on"""
    stage.routed_pair()
    listener = listen(stage)
    client, server = connect(stage, listener)
    sink, sensor = stage.sink(), stage.sensor(sockets__enabled=True)
    say(client, server)
    record = wait_records(sink, "a flow's", "sonde.flow", PORT, 1)[0]
    check_process(record, "source", "destination")
    if not record.get("tcp.rtt_us"):
        raise Failure(f"no round-trip time: {record}")
    client.close()
    server.close()
    wait_records(sink, "close", "sonde.socket", PORT, 2, sonde__socket__action="close")
    sensor.stop()
    stage.check_nothing_left("v0")


@test()
def test_crash(stage):
    """A sensor that is killed leaves its hooks at work; the next one takes them over, and `sonde detach` removes them"""
    stage.routed_pair()
    listener, sink = listen(stage), stage.sink()
    sensor = stage.sensor(sockets__enabled=True)
    sensor.kill()
    client, server = connect(stage, listener)
    port = client.getsockname()[1]
    sensor = stage.sensor(sockets__enabled=True)
    for action in "connect", "accept":
        wait_records(sink, action, "sonde.socket", PORT, 1, sonde__socket__action=action, source__port=port)
    client.close()
    server.close()
    wait_records(sink, "close", "sonde.socket", PORT, 2, sonde__socket__action="close", source__port=port)
    sensor.kill()
    if stage.sonde("detach")[0]:
        raise Failure("sonde detach failed")
    stage.check_nothing_left("v0")
