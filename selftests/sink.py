#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sonde-sink as a process: sink.py PATH-TO-sonde-sink. Prints a line a check, ends with the count."""
import base64
import errno
import gzip
import http.client
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zlib

import sink_harness as harness
from otlp_wire import batch, block, record, request, scope_logs
from sink_harness import Pki, Sink, check, wait_for

T0 = 1767323045_123456789  # 2026-01-02T03:04:05.123456789Z
# Ethernet, IPv4 192.168.0.1 > 192.168.0.2, UDP 53 > 53 without data.
FRAME = bytes.fromhex("0200000000020200000000010800" "4500001c000100004011f96dc0a80001c0a80002" "0035003500080000")
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def flow(n, **values):
    return record("sonde.flow", T0 + n, {"event.name": "sonde.flow", "n": n, **values})


def packet(n, link="ethernet", **values):
    values = {"packet.original_length": 1514, "packet.captured_length": len(FRAME), "sonde.packet.link_type": link,
              "network.interface.name": "eth0", "network.io.direction": "receive", "n": n, **values}
    return record("sonde.packet", T0 + n, values, FRAME if link == "ethernet" else FRAME[14:])


def test_stored(sink):
    values = {"source.address": "10.0.0.7", "source.port": 41212, "ok": True, "ratio": 0.5, "nan": float("nan"),
              "negative": -1, "list": [1, "two"], "map": {"a": 1}, "bytes": b"\0\xff",
              "text": "tab\tquote\" backslash\\ line\n ü \x01"}
    status, headers, body = sink.post(batch("s1", 1, [record("sonde.flow", T0, values)]))
    check(status == 200 and body == b"" and headers["Content-Type"] == "application/x-protobuf",
          "a batch is answered with 200 and an ExportLogsServiceResponse", (status, headers.items(), body))
    stored = sink.records()[-1]
    expected = {**values, "nan": "NaN", "bytes": base64.b64encode(b"\0\xff").decode(), "service.name": "sonde",
                "host.name": "node-a", "sonde.stream_id": "s1", "sonde.batch.sequence": 1, "sonde.batch.records": 1,
                "time": "2026-01-02T03:04:05.123456789Z", "event_name": "sonde.flow"}
    check(stored == expected, "all attributes of record, scope and resource are in the line, with their types",
          (stored, expected))

    status = sink.post(batch("s1", 2, [flow(2)]), pack=False)[0]
    check(status == 200, "a body without Content-Encoding is taken", status)
    status = sink.post(iter([batch("s1", 3, [flow(3)])[i:i + 7] for i in range(0, 400, 7)]), pack=False)[0]
    check(status == 200 and sink.records()[-1]["n"] == 3, "a body in chunks is taken", status)
    body = batch("s1", 4, [flow(4)])
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])
    status = sink.post(packed, pack=False, Content_Encoding="gzip")[0]
    check(status == 200 and sink.records()[-1]["n"] == 4, "a body of two gzip members is taken", status)

    big = batch("s1", 5, [flow(n, padding=os.urandom(200).hex()) for n in range(8000)])
    status = sink.post(big)[0]
    check(status == 200 and len(sink.records()) == 8004, f"a batch of 8,000 records ({len(big)} bytes) is stored whole",
          (status, len(sink.records())))
    with open(sink.files("records")[-1], "rb") as file:
        check(file.read().endswith(b"}\n"), "the file ends with a whole line")


def test_connection(sink):
    connection = sink.connect()
    statuses = []
    for n in range(5):
        connection.request("POST", "/v1/logs", batch("keep", n + 1, [flow(n)]), PROTOBUF)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        local = connection.sock.getsockname()
    check(statuses == [200] * 5 and local, "five requests follow one another on a connection", statuses)
    connection.close()

    head = "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
    bodies = [batch("pipe", n, [flow(n)]) for n in (1, 2)]
    answers = sink.raw(b"".join(head.encode() % len(body) + body for body in bodies))
    check(answers.count(b"HTTP/1.1 200 OK") == 2, "two requests sent at once are answered both", answers)

    with open(os.path.join(sink.pki.dir, "body"), "wb") as file:
        file.write(batch("curl", 1, [flow(1, padding="x" * 1500000)]))
    curl = subprocess.run(
        ["curl", "-sS", "-v", "--cacert", sink.pki.path("ca.crt"), "--cert", sink.pki.path("client.crt"), "--key",
         sink.pki.path("client.key"), "-H", "Content-Type: application/x-protobuf", "-H", "Expect: 100-continue",
         "--data-binary", "@" + os.path.join(sink.pki.dir, "body"), f"https://localhost:{sink.port}/v1/logs"],
        capture_output=True, text=True, check=False)
    check(curl.returncode == 0 and "HTTP/1.1 100 Continue" in curl.stderr and "HTTP/1.1 200 OK" in curl.stderr,
          "curl waits for 100 Continue and gets 200", curl.stderr[-600:])


def refusal(sink, what, expected, reason, *args, header=None, **kwargs):
    start = len(sink.read_log())
    before = sink.metric(f'sonde_sink_refused_total{{reason="{reason}"}}')
    status, headers, body = sink.post(*args, **kwargs)
    # By its status: a client of the test before may be refused only now.
    line = sink.wait_log(f"status={expected} reason=", start)
    told = all(part in line for part in ("peer=127.0.0.1:", "subject=\"CN=node-a\"", f"status={expected}", "reason="))
    after = sink.metric(f'sonde_sink_refused_total{{reason="{reason}"}}')
    good = status == expected and told and after == before + 1 and len(body) > 4
    good = good and (header is None or headers[header[0]] == header[1])
    check(good, f"{what}: {expected}, one line in the log, counted as {reason}", (status, line, before, after, body))
    return line


def test_refusals(sink):
    good = batch("r", 1, [flow(1)])
    count = len(sink.records())
    refusal(sink, "another path", 404, "path", good, path="/v1/traces")
    refusal(sink, "another method", 405, "method", None, pack=False, method="GET", header=("Allow", "POST"))
    refusal(sink, "another Content-Type", 415, "content_type", good, Content_Type="application/json")
    refusal(sink, "another Content-Encoding", 415, "content_encoding", good, pack=False, Content_Encoding="zstd")
    refusal(sink, "a body longer than max_body", 413, "too_large", b"\0" * (4 << 20), pack=False)
    refusal(sink, "the same in chunks", 413, "too_large", iter([b"\0" * 65536] * 40), pack=False)
    refusal(sink, "not gzip", 400, "gzip", good, pack=False, Content_Encoding="gzip")
    refusal(sink, "half a gzip stream", 400, "gzip", gzip.compress(good)[:-12], pack=False, Content_Encoding="gzip")
    refusal(sink, "no body where gzip is announced", 400, "gzip", b"", pack=False, Content_Encoding="gzip")
    refusal(sink, "not protobuf", 400, "protobuf", b"\xff" * 100)
    refusal(sink, "half a message", 400, "protobuf", good[:-5])
    nested = block(1, "x")
    for _ in range(20000):
        nested = block(5, block(1, nested))
    line = refusal(sink, "values nested 20,000 deep", 400, "protobuf",
                   request({}, scope_logs([block(5, nested)])))
    check("nested" in line, "it says so", line)
    refusal(sink, "a million empty records", 413, "too_large", request({}, block(2, b"") * 1000000))
    refusal(sink, "a packet sample of no link type", 400, "record", batch("r", 9, [flow(1), packet(1, link="x")]))
    refusal(sink, "a sequence that is no number", 400, "record",
            request({"sonde.stream_id": "r"}, scope_logs([flow(1)], {"sonde.batch.sequence": "one"})))
    check(len(sink.records()) == count, "nothing of a refused request is stored")

    answers = {
        b"\x16\x03\x01 hello\r\n\r\n": b"HTTP/1.1 400 ",
        b"POST /v1/logs HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n": b"HTTP/1.1 400 ",
        b"POST /v1/logs HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n": b"HTTP/1.1 400 ",
        b"POST /v1/logs HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n": b"HTTP/1.1 501 ",
        b"POST /v1/logs HTTP/1.1\r\n" + b"X-Filler: y\r\n" * 2000: b"HTTP/1.1 431 ",
        b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":
            b"HTTP/1.1 400 ",
    }
    for sent, expected in answers.items():
        got = sink.raw(sent)
        check(got.startswith(expected) and b"Connection: close" in got,
              f"{sent[:60]}... is answered with {expected.decode()}", got)


def test_bombs(sink):
    sink.post(batch("bomb", 1, [flow(1)]))
    before = sink.rss()
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(b"\0" * (1 << 20)) for _ in range(1024)) + bomb.flush()
    refusal(sink, f"a gzip bomb ({len(packed)} bytes that become 1 GiB)", 413, "too_large", packed, pack=False,
            Content_Encoding="gzip")
    grown = sink.rss() - before
    check(grown < 16 << 20, f"it costs {grown >> 10} KiB of memory where max_body is 2 MiB", grown)

    empty = block(6, b"") * 500000
    refusal(sink, "half a million empty attributes in 1 MB", 413, "too_large", request({}, scope_logs([empty])))
    grown = sink.rss() - before
    check(grown < 64 << 20, f"they cost {grown >> 10} KiB", grown)

    # One byte less than fits, for each of five clients that never end their body: four times max_body is the bound.
    clients = [sink.tls() for _ in range(8)]
    head = b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n" % (2 << 20)
    for client in clients:
        try:
            client.sendall(head + b"\0" * ((2 << 20) - 1))
        except OSError:
            pass  # refused while it sends
    wait_for(lambda: sink.metric('sonde_sink_refused_total{reason="busy"}'), "a body that is refused as busy")
    check(True, "bodies in progress are bounded together: 503")
    for client in clients:
        client.close()
    status = wait_for(lambda: sink.post(batch("after", 1, [flow(1)]))[0] == 200, "a batch after it")
    check(status, "then batches are stored again")


def test_handshakes(sink):
    def refused(what, reason, attempt, subject=None):
        start = len(sink.read_log())
        before = sink.metric('sonde_sink_refused_total{reason="tls"}')
        try:
            attempt()
        except OSError:  # ssl.SSLError is one
            pass
        line = sink.wait_log("refused a connection", start)
        good = "peer=127.0.0.1:" in line and reason in line and (not subject or subject in line)
        check(good and sink.metric('sonde_sink_refused_total{reason="tls"}') == before + 1,
              f"{what}: refused, and the log says why: {reason}", line)

    good = batch("tls", 1, [flow(1)])
    count = len(sink.records())
    refused("no certificate", "it shows no client certificate", lambda: sink.post(good, client=None))
    refused("a certificate of a foreign CA", "is not signed by an authority in `ca`, but by",
            lambda: sink.post(good, client="stranger"), "CN=node-x")
    refused("an expired certificate", "has expired", lambda: sink.post(good, client="expired"), "CN=node-old")
    refused("a server's certificate", "is not made for clients", lambda: sink.post(good, client="not-client"),
            "CN=node-srv")

    def plain(data):
        with socket.create_connection(("127.0.0.1", sink.port), timeout=10) as client:
            client.sendall(data)
            client.recv(100)

    refused("plain HTTP", "it speaks plain HTTP, not TLS", lambda: plain(b"GET /v1/logs HTTP/1.1\r\n\r\n"))
    refused("something else", "what it sends is not TLS", lambda: plain(b"\0\1\2\3\4\5\6\7" * 10))
    refused("somebody who hangs up", "it hung up during the handshake",
            lambda: socket.create_connection(("127.0.0.1", sink.port)).close())

    def old():
        subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{sink.port}", "-tls1_1", "-cipher",
                        "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    refused("TLS 1.1", "TLS 1.2 or later", old)

    def distrust():
        curl = ["curl", "-s", "--cacert", sink.pki.path("foreign-ca.crt"), f"https://localhost:{sink.port}/"]
        subprocess.run(curl, capture_output=True, check=False)
    refused("a client that does not know our CA", "does not trust the sink's certificate", distrust)
    check(len(sink.records()) == count, "nothing of them is stored")


def test_duplicates(sink):
    def post(body, client="client"):
        before = len(sink.records()), sink.metric("sonde_sink_duplicates_total")
        status = sink.post(body, client)[0]
        return status, len(sink.records()) - before[0], sink.metric("sonde_sink_duplicates_total") - before[1]

    check(post(batch("d", 1, [flow(1)])) == (200, 1, 0), "a batch is stored")
    check(post(batch("d", 1, [flow(1)])) == (200, 0, 1), "sent again, it is answered with 200 and left out")
    check(post(batch("d", 1, [flow(1)]), "other") == (200, 1, 0), "another client's same numbers are another batch")
    check(post(batch("e", 1, [flow(1)])) == (200, 1, 0), "and so is the same number of another stream")
    check(post(batch("d", 2, [flow(2)], part=1)) == (200, 1, 0), "a part of a batch is stored")
    check(post(batch("d", 2, [flow(3)], part=2)) == (200, 1, 0), "and the next part")
    check(post(batch("d", 2, [flow(2)], part=1)) == (200, 0, 1), "but not the first one again")
    check(post(batch("d", 9, [flow(9)])) == (200, 1, 0), "a batch out of order is stored")
    check(post(batch("d", 5, [flow(5)])) == (200, 1, 0), "and one before it afterwards")
    check(post(batch(None, 0, [flow(1)])) == (200, 1, 0) and post(batch(None, 0, [flow(1)])) == (200, 1, 0),
          "a sender without stream is stored each time")
    both = request({"sonde.stream_id": "d"}, scope_logs([flow(1)], {"sonde.batch.sequence": 1}),
                   scope_logs([flow(20)], {"sonde.batch.sequence": 20}),
                   scope_logs([flow(20)], {"sonde.batch.sequence": 20}))
    check(post(both) == (200, 1, 2), "of a request with three batches, only the new one is stored, once")


def killed_batch(sequence):
    return batch("k", sequence, [flow(sequence * 100 + i) for i in range(50)] + [packet(sequence)])


def test_killed(binary, pki, directory, seed):
    """Batches in order, the sink killed at random places; what is not acknowledged is sent again."""
    rng = random.Random(seed)
    sink = Sink(binary, pki, directory)
    sequence, kills = 1, 0
    while kills < 8:
        rounds = rng.randrange(1, 12)
        connection = sink.connect()
        killer = None
        try:
            for n in range(rounds):
                if n == rounds - 1:  # falls anywhere in what the sink does with this batch
                    killer = subprocess.Popen(["sh", "-c", f"sleep {rng.random() * 0.01}; kill -9 {sink.process.pid}"])
                connection.request("POST", "/v1/logs", killed_batch(sequence), PROTOBUF)
                answer = connection.getresponse()
                answer.read()
                sequence += answer.status == 200
        except (OSError, http.client.HTTPException):
            pass  # no answer: this batch is sent again
        killer.wait()
        sink.process.wait(10)
        connection.close()
        kills += 1
        sink = Sink(binary, pki, directory)
    status = sink.post(killed_batch(sequence))[0]
    stored = [item["n"] for item in sink.records() if item["event_name"] == "sonde.flow"]
    expected = [s * 100 + i for s in range(1, sequence + 1) for i in range(50)]
    check(status == 200 and sorted(stored) == expected,
          f"killed 8 times (seed {seed}): each of {len(expected)} records is there once",
          (status, len(stored), len(set(stored)), len(expected)))
    packets = 0
    for name in sink.files("packets"):
        packets += len(tshark(name, "frame.number"))
    check(packets == sequence, f"and each of {sequence} packets", packets)
    again = sink.post(batch("k", sequence - 1, [flow(1)]))[0]
    check(again == 200 and sink.metric("sonde_sink_duplicates_total") == 1, "a batch from before the kill is a repeat")
    sink.stop()


def test_recovery(binary, pki, directory):
    sink = Sink(binary, pki, directory)
    sink.post(batch("v", 1, [flow(1), packet(1)]))
    sink.stop(signal.SIGKILL)
    records, packets = sink.files("records")[-1], sink.files("packets")[-1]
    sizes = os.path.getsize(records), os.path.getsize(packets)
    journal = os.path.join(directory, "journal")
    for name, tail in (records, b'{"half a li'), (packets, b"\6\0\0\0\x40"), (journal, b"snj1"):
        with open(name, "ab") as file:
            file.write(tail)
    sink = Sink(binary, pki, directory)
    check((os.path.getsize(records), os.path.getsize(packets)) == sizes,
          "what was not committed is cut off at the start")
    check("cut off what it had not acknowledged" in sink.log, "and the log says so")
    second = Sink(binary, pki, directory, start=False)
    code = second.process.wait(10)
    check(code == 1 and "another sonde-sink stores there" in second.read_log(),
          "a second sink in the same dir is refused", second.log)
    sink.stop(signal.SIGKILL)

    with open(journal, "r+b") as file:
        file.seek(80)
        file.write(b"\xff\xff")
    with open(records, "ab") as file:
        file.write(b"{}\n")
    sink = Sink(binary, pki, directory)
    check("the journal is damaged" in sink.log and os.path.getsize(records) == sizes[0] + 3,
          "a damaged journal is told of, and then nothing is cut", sink.log)
    sink.stop()
    sink = Sink(binary, pki, directory)
    check("damaged" not in sink.log, "it is written anew")
    sink.stop()


def test_disk(binary, pki, directory):
    sink = Sink(binary, pki, directory)
    sink.post(batch("f", 1, [flow(1), packet(1)]))
    # A limit on the size of files, as a disk that is full, can be taken away again.
    size = os.path.getsize(sink.files("records")[-1])
    resource.prlimit(sink.process.pid, resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
    status, headers, _ = sink.post(batch("f", 2, [flow(n) for n in range(100)]))
    line = sink.wait_log("refused a request")
    check(status == 503 and headers["Retry-After"] and "No space left" in line, "a full disk is answered with 503",
          (status, line))
    check(len(sink.records()) == 2 and sink.metric('sonde_sink_refused_total{reason="disk"}') == 1,
          "nothing of the batch is left in the file, and it is counted")
    resource.prlimit(sink.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    status = sink.post(batch("f", 2, [flow(n) for n in range(100)]))[0]
    check(status == 200 and len(sink.records()) == 102, "with room again, the same batch is stored", status)
    # The journal is what has no room: its entry is 72 bytes.
    size = os.path.getsize(os.path.join(directory, "journal"))
    os.truncate(sink.files("packets")[-1], os.path.getsize(sink.files("packets")[-1]))
    resource.prlimit(sink.process.pid, resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
    status = sink.post(batch("f", 3, []))[0]
    check(status == 503 and os.path.getsize(os.path.join(directory, "journal")) == size,
          "the same where the journal has no room", status)
    resource.prlimit(sink.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check(sink.post(batch("f", 3, [flow(1)]))[0] == 200, "and it recovers")
    sink.stop()


def tshark(name, *fields):
    args = [arg for field in fields for arg in ("-e", field)]
    out = subprocess.run(["tshark", "-r", name, "-T", "fields", "-E", "separator=|", *args], capture_output=True,
                         text=True, check=False)
    return [line.split("|") for line in out.stdout.splitlines()]


def test_packets(sink):
    pods = {"source.k8s.namespace.name": "shop", "source.k8s.pod.name": "web-1", "source.k8s.container.name": "nginx",
            "destination.k8s.namespace.name": "db", "destination.k8s.pod.name": "pg-0",
            "destination.k8s.container.name": "postgres", "sonde.packet.reason": "http"}
    sink.post(batch("p", 1, [packet(0, **pods), packet(1, **{"network.io.direction": "transmit",
                                                             "network.interface.name": "veth1"})]))
    sink.post(batch("p", 2, [packet(2, link="raw_ip", **{"network.interface.name": "tun0"}), packet(3)]))
    sink.post(batch("p", 3, [packet(4)], host="node-b"))
    rows = tshark(sink.files("packets")[-1], "frame.interface_name", "frame.interface_description", "frame.len",
                  "frame.cap_len", "frame.time_epoch", "frame.packet_flags_direction", "frame.comment", "ip.src",
                  "frame.interface_id", "frame.encap_type")
    length, ip_length = str(len(FRAME)), str(len(FRAME) - 14)
    comment = "source: shop/web-1 (nginx)  destination: db/pg-0 (postgres)  sampled: http"
    expected = [
        ["eth0", "node-a", "1514", length, "1767323045.123456789", "0x00000001", comment, "192.168.0.1", "0", "1"],
        ["veth1", "node-a", "1514", length, "1767323045.123456790", "0x00000002", "", "192.168.0.1", "1", "1"],
        ["tun0", "node-a", "1514", ip_length, "1767323045.123456791", "0x00000001", "", "192.168.0.1", "2", "7"],
        ["eth0", "node-a", "1514", length, "1767323045.123456792", "0x00000001", "", "192.168.0.1", "0", "1"],
        ["eth0", "node-b", "1514", length, "1767323045.123456793", "0x00000001", "", "192.168.0.1", "3", "1"],
    ]
    check(rows == expected, "tshark reads packets, interfaces, times, directions, and pods in comments", rows)
    stored = [item for item in sink.records() if item["event_name"] == "sonde.packet"]
    check(len(stored) == 5 and all("body" not in item and item["packet.original_length"] == 1514 for item in stored),
          "the records of packets leave the bytes to the capture file", stored[:1])


def test_metrics(sink):
    check(sink.get("/healthz") == (200, "ok\n"), "/healthz answers")
    status, text = sink.get("/metrics")
    names = ('sonde_sink_batches_total{result="stored"}', 'sonde_sink_records_total{kind="flow"}',
             "sonde_sink_duplicates_total", 'sonde_sink_refused_total{reason="tls"}',
             'sonde_sink_bytes_total{stage="records"}', "sonde_sink_build_info{version=")
    check(status == 200 and all(name in text for name in names), "/metrics tells what was promised", text)
    kinds = sum(sink.metric(f'sonde_sink_records_total{{kind="{kind}"}}')
                for kind in ("flow", "packet", "socket", "ledger", "other"))
    check(kinds == len(sink.records()), "records counted are the lines of the files", (kinds, len(sink.records())))
    size = sum(os.path.getsize(name) for name in sink.files("records"))
    check(sink.metric('sonde_sink_bytes_total{stage="records"}') == size, "and so are their bytes")
    size = sum(os.path.getsize(name) for name in sink.files("packets"))
    check(sink.metric('sonde_sink_bytes_total{stage="packets"}') == size, "and those of the capture file")


def test_leaks(sink):
    def idle_descriptors():
        return sink.metric("sonde_sink_connections") == 0 and sink.descriptors()

    before = wait_for(idle_descriptors, "an idle sink")
    for n in range(100):
        sink.post(batch("leak", n + 1, [flow(n)]))
        socket.create_connection(("127.0.0.1", sink.port)).close()
    # One more may be the endpoint's own, for a moment.
    check(wait_for(lambda: idle_descriptors() and sink.descriptors() <= before, "as many descriptors as before"),
          "200 connections later it has no more descriptors than before")


def test_crowd(sink):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    crowd = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(1030)]
    line = sink.wait_log("too many connections")
    check("peer=127.0.0.1:" in line and sink.metric("sonde_sink_connections") == 1024,
          "1,024 connections are held, one more is refused", line)
    for client in crowd:
        client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check(wait_for(lambda: sink.metric("sonde_sink_connections") == 0, "the crowd to go") and
          sink.post(batch("crowd", 1, [flow(1)]))[0] == 200, "and when they are gone, a batch is stored")


def test_silent(sink, silent, slow):
    """Connections of long ago: one says nothing, the other began a request."""
    for client, line, what in ((silent, "no TLS handshake in time", "says nothing"),
                               (slow, "the head of a request is not complete in time", "stops in a head")):
        client.settimeout(20)
        check(client.recv(1) == b"" and sink.wait_log(line), "who connects and " + what + " is hung up on after 10 s")
        client.close()


def test_reload(sink):
    sink.pki.issue("server", "foreign-ca", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    sink.process.send_signal(signal.SIGHUP)
    sink.wait_log("read ca, cert and key again")
    try:
        sink.tls().close()
        check(False, "SIGHUP brings the new certificate")
    except OSError as error:
        check("certificate verify failed" in str(error), "SIGHUP brings the new certificate", error)
    os.rename(sink.pki.path("server.crt"), sink.pki.path("gone"))
    sink.process.send_signal(signal.SIGHUP)
    check(sink.wait_log("keeping the old ones"), "a certificate that is not there leaves the old one in place")
    os.rename(sink.pki.path("gone"), sink.pki.path("server.crt"))
    sink.pki.issue("server", "ca", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    start = len(sink.log)
    sink.process.send_signal(signal.SIGHUP)
    sink.wait_log("read ca, cert and key again", start)


def test_stop(sink):
    idle = sink.tls()
    body = batch("stop", 1, [flow(1)])
    with sink.tls() as client:
        client.sendall(b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
                       % len(body) + body[:10])
        wait_for(lambda: sink.metric("sonde_sink_connections") == 2, "both connections")
        client.sendall(body[10:20])
        sink.post(batch("stop", 9, []))  # the sink has read what came before it
        sink.process.send_signal(signal.SIGTERM)
        sink.wait_log("stopping")
        check(idle.recv(1) == b"", "at SIGTERM an idle connection is closed")
        closed = socket.socket().connect_ex(("127.0.0.1", sink.port))
        check(closed == errno.ECONNREFUSED, "and new ones are refused", closed)
        client.sendall(body[20:])
        answer = client.recv(65536)
        check(answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer,
              "the request in progress is finished", answer)
    code = sink.process.wait(10)
    sink.read_log()
    check(code == 0 and "msg=stopped" in sink.log, "then it ends with code 0", (code, sink.log[-300:]))
    check(sink.records()[-1]["sonde.stream_id"] == "stop", "and the batch is stored")


def test_usage(binary, pki, directory):
    def run(*args):
        env = {"PATH": os.environ["PATH"], "SONDE_SINK_SERVICE_HOST": "10.0.0.1",
               "SONDE_SINK_PORT": "tcp://10.0.0.1:4318"}
        done = subprocess.run([binary, *args], capture_output=True, text=True, env=env, timeout=20, check=False)
        return done.returncode, done.stdout + done.stderr

    needed = ["--set", "ca=" + pki.path("ca.crt"), "--set", "cert=" + pki.path("server.crt"), "--set",
              "key=" + pki.path("server.key"), "--set", "dir=" + directory]
    code, text = run()
    check(code == 2 and all(key + ": is not set" in text for key in ("ca", "cert", "key", "dir")),
          "without configuration: code 2, and what is missing", (code, text))
    code, text = run(*needed, "--set", "rotate.bytes=1MiB")
    check(code == 2 and "rotate.bytes" in text, "a key that is not there yet is unknown", (code, text))
    code, text = run(*needed, "--set", "listen=4318")
    check(code == 2 and "listen" in text and "0.0.0.0:4318" in text, "a wrong address: what would be right",
          (code, text))
    code, text = run(*needed, "--set", "key=" + pki.path("client.key"))
    check(code == 1 and "key" in text and "client.key" in text, "a key that is not the certificate's", (code, text))
    code, text = run(*needed, "--set", "cert=/nonexistent")
    check(code == 1 and "cert: /nonexistent: No such file or directory" in text, "a certificate that is not there",
          (code, text))
    code, text = run("--version")
    check(code == 0 and text.startswith("sonde-sink "), "--version", text)
    code, text = run("--help")
    check(code == 0 and "max_body" in text and "metrics.listen" in text, "--help names the keys", text)


def main():
    if len(sys.argv) != 2:
        print("usage: sink.py PATH-TO-sonde-sink", file=sys.stderr)
        return 2
    binary = os.path.abspath(sys.argv[1])
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    work = tempfile.mkdtemp(prefix="sonde-sink-test-")
    sinks = []
    start = Sink.__init__

    def remember(self, *args, **kwargs):
        sinks.append(self)
        start(self, *args, **kwargs)
    Sink.__init__ = remember

    try:
        pki = Pki(work)

        def directory(name):
            return os.path.join(work, name)

        test_usage(binary, pki, directory("usage"))
        sink = Sink(binary, pki, directory("main"), "max_body=8MiB")
        check("dir=" + sink.dir in sink.log, "the first line tells where it listens and stores", sink.log)
        silent, slow = socket.create_connection(("127.0.0.1", sink.port)), sink.tls()
        slow.sendall(b"POST /v1/logs HTTP/1.1\r\n")
        for test in test_stored, test_connection, test_handshakes, test_duplicates, test_metrics, test_leaks:
            test(sink)
        test_silent(sink, silent, slow)
        test_reload(sink)
        test_stop(sink)

        sink = Sink(binary, pki, directory("packets"))
        test_packets(sink)
        test_metrics(sink)
        sink.stop()
        sink = Sink(binary, pki, directory("refusals"), "max_body=2MiB")
        test_bombs(sink)
        test_refusals(sink)
        test_crowd(sink)
        sink.stop()
        test_recovery(binary, pki, directory("recovery"))
        test_disk(binary, pki, directory("disk"))
        test_killed(binary, pki, directory("killed"), seed)
    finally:
        for sink in sinks:
            if sink.process.poll() is None:
                sink.process.kill()
                sink.process.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{harness.passed} passed, {harness.failed} failed")
    return 1 if harness.failed else 0


if __name__ == "__main__":
    sys.exit(main())
