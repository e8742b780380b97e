# SPDX-License-Identifier: Apache-2.0
"""Samples of real connections: why each was taken, and how much of it."""
import http.client
import http.server
import socket
import ssl
import threading

import tally
from frames import udp_frame
from harness import test
from process import Failure, wait_until


class Page(http.server.BaseHTTPRequestHandler):
    """Answers with head and body in one write, as most servers do."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 3000
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Nowhere."""


def connect(stage):
    """Addresses for the pair; packets that are larger than the MTU reach the hooks as super-packets."""
    stage.pair()
    stage.host.address("v0", "10.9.0.1/24")
    stage.peer.address("p0", "10.9.0.2/24")


def samples(stage, sensor, sink, reason):
    stage.settled(sensor)
    return [record for record in sink.records("sonde.packet") if record["sonde.packet.reason"] == reason]


def require(records, expected, what):
    if len(records) != expected:
        raise Failure(f"{len(records)} samples of {what}, not {expected}: "
                      f"{[(record['source.port'], record['packet.original_length']) for record in records]}")


@test()
def test_http(stage):
    """Each request and response on a connection that is kept is a sample, far behind the head."""
    connect(stage)
    sink, sensor = stage.sink(), stage.sensor(packets__head_bytes=100, packets__snaplen=64, packets__max_rate=0)
    with stage.peer:
        server = http.server.HTTPServer(("10.9.0.2", 8080), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with server, stage.host:
        client = http.client.HTTPConnection("10.9.0.2", 8080, timeout=20)
        for n in range(10):
            client.request("GET", f"/{n}")
            client.getresponse().read()
        client.close()
        server.shutdown()
    # Three packets of the handshake are within the head of 100 bytes, of client or server; a request has a hundred more.
    found = samples(stage, sensor, sink, "http")
    requests = [record for record in found if record["destination.port"] == 8080]
    answers = [record for record in found if record["source.port"] == 8080]
    head = [record for record in samples(stage, sensor, sink, "head") if record["packet.original_length"] > 100]
    require(requests + answers + head, 20, "requests and responses")
    if any(record["sonde.packet.probability"] != 1 or record["packet.captured_length"] != 64 for record in found):
        raise Failure("an http sample was not certain, or is not of 64 bytes")
    if not samples(stage, sensor, sink, "control"):
        raise Failure("no FIN is among the samples")


@test(quick=True)
def test_tls_and_dns(stage):
    """ClientHello, ServerHello and DNS queries are samples without any head."""
    connect(stage)
    sink, sensor = stage.sink(), stage.sensor(packets__head_bytes=0, packets__max_rate=0)
    server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server_side.load_cert_chain(stage.pki.path("server.crt"), stage.pki.path("server.key"))
    client_side.load_verify_locations(stage.pki.path("ca.crt"))
    listener = stage.peer.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.9.0.2", 8443))
    listener.listen()

    def serve():
        with listener.accept()[0] as plain, server_side.wrap_socket(plain, server_side=True) as secure:
            secure.sendall(secure.recv(100))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener, stage.host.socket(socket.AF_INET, socket.SOCK_STREAM) as plain:
        plain.settimeout(20)
        plain.connect(("10.9.0.2", 8443))
        with client_side.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"hello")
            secure.recv(100)
        thread.join()
    with stage.host.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        query.sendto(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x07example\x03com\x00\x00\x01\x00\x01", ("10.9.0.2", 53))
    wait_until(lambda: samples(stage, sensor, sink, "dns"), "the DNS query to be a sample")
    require(samples(stage, sensor, sink, "dns"), 1, "DNS")
    hellos = samples(stage, sensor, sink, "tls")
    require([record for record in hellos if record["destination.port"] == 8443], 1, "ClientHello")
    require([record for record in hellos if record["source.port"] == 8443], 1, "ServerHello")


@test()
def test_snaplen(stage):
    """packets.snaplen is kept to the byte, in frames of up to 9,250 bytes"""
    stage.pair()
    stage.host.ip("link", "set", "v0", "mtu", "9300")
    stage.peer.ip("link", "set", "p0", "mtu", "9300")
    sink, sensor = stage.sink(), stage.sensor(packets__snaplen=9216, packets__head_bytes="1MiB")
    sizes = [60, 96, 97, 1536, 1537, 9215, 9216, 9217, 9250]
    frames = [udp_frame(1, 1000 + n, size - 42) for n, size in enumerate(sizes)]
    stage.send(stage.peer, "p0", frames)
    stage.wait_flows(sink, tally.of_frames(frames))
    stage.settled(sensor)
    found = sorted((sample["packet.original_length"], sample["packet.captured_length"])
                   for sample in sink.records("sonde.packet"))
    if found != [(size, min(size, 9216)) for size in sizes]:
        raise Failure(f"samples (original, captured): {found}")


@test()
def test_rate(stage):
    """What packets.max_rate refuses is counted as lost, and the books balance"""
    stage.pair()
    sink, sensor = stage.sink(), stage.sensor(packets__head_bytes="16MiB", packets__max_rate=100)
    frames = [udp_frame(1, 1000, 100)] * 5000
    stage.send(stage.peer, "p0", frames)
    stage.wait_flows(sink, tally.of_frames(frames))
    account = stage.settled(sensor)["records"]["packet"]
    if account["produced"] != len(frames) or account["received"] + account["lost"]["rate_limit"] != len(frames):
        raise Failure(f"{len(frames)} packets within the head, but: {account}")
    if not account["lost"]["rate_limit"] or not account["received"]:
        raise Failure(f"all or nothing: {account}")
