# SPDX-License-Identifier: Apache-2.0
"""What the tests of sonde-sink stand on: certificates, a sink as a process, clients, the count of checks."""
import glob
import gzip
import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import time

DEADLINE = 20  # seconds after which a wait is a failure
passed, failed = 0, 0


def check(condition, what, detail=""):
    global passed, failed
    if condition:
        passed += 1
        print("ok - " + what, flush=True)
    else:
        failed += 1
        print("not ok - " + what + (": " + str(detail)[:1500] if detail != "" else ""), flush=True)
    return bool(condition)


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited in vain for " + what)
        time.sleep(0.02)


class Pki:
    """A CA with a server and two clients; a foreign CA with a client; an expired client."""

    def __init__(self, directory):
        self.dir = directory
        for ca in "ca", "foreign-ca":
            self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/O=Sonde test/CN=" + ca, "-keyout", self.path(ca + ".key"), "-out",
                      self.path(ca + ".crt"))
        self.issue("server", "ca", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.issue("client", "ca", "node-a")
        self.issue("other", "ca", "node-b")
        self.issue("stranger", "foreign-ca", "node-x")
        self.issue("expired", "ca", "node-old", days="-1")
        self.issue("not-client", "ca", "node-srv", "extendedKeyUsage=serverAuth")

    def path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def _run(*args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def issue(self, name, ca, common_name, extension="basicConstraints=CA:FALSE", days="2"):
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                  "/CN=" + common_name, "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        with open(self.path(name + ".ext"), "w") as file:
            file.write(extension + "\n")
        self._run("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path(ca + ".crt"), "-CAkey",
                  self.path(ca + ".key"), "-CAcreateserial", "-days", days, "-extfile", self.path(name + ".ext"),
                  "-out", self.path(name + ".crt"))

    def context(self, client="client"):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if client:
            context.load_cert_chain(self.path(client + ".crt"), self.path(client + ".key"))
        return context


class Sink:
    """A running sonde-sink. Its log is read as it is written."""

    def __init__(self, binary, pki, directory, *sets, start=True):
        self.pki, self.dir, self.log = pki, directory, ""
        config = {"listen": "127.0.0.1:0", "ca": pki.path("ca.crt"), "cert": pki.path("server.crt"),
                  "key": pki.path("server.key"), "dir": directory, "metrics.listen": "127.0.0.1:0",
                  "log.level": "debug"}
        config.update(item.split("=", 1) for item in sets)
        command = [binary] + [arg for key, value in config.items() for arg in ("--set", key + "=" + value)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stderr.fileno(), False)
        if start:
            line = self.wait_log(r"msg=listening .*")
            self.port = int(re.search(r"address=\S+:(\d+)", line).group(1))
            self.metrics_port = int(re.search(r"metrics=\S+:(\d+)", line).group(1))

    def read_log(self):
        while True:
            data = self.process.stderr.read()
            if not data:
                return self.log
            self.log += data.decode(errors="replace")

    def wait_log(self, pattern, start=0):
        """The first line after START characters of the log that has the pattern."""
        end = time.monotonic() + DEADLINE
        while True:
            found = re.search(".*" + pattern + ".*", self.read_log()[start:])
            if found:
                return found.group(0)
            if time.monotonic() > end or (self.process.poll() is not None and not self.process.stderr.peek(1)):
                raise TimeoutError("no line with " + pattern + " in the log:\n" + self.log[start:])
            select.select([self.process.stderr], [], [], 0.1)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self.read_log()
        return code

    def connect(self, client="client"):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.pki.context(client), timeout=DEADLINE)

    def tls(self, client="client"):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.pki.context(client).wrap_socket(plain, server_hostname="localhost")

    def post(self, body, client="client", pack=True, method="POST", path="/v1/logs", **headers):
        """Status, headers and body of the answer."""
        send = {"Content-Type": "application/x-protobuf"}
        if pack:
            send["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
        send.update({key.replace("_", "-"): value for key, value in headers.items()})
        connection = self.connect(client)
        try:
            connection.request(method, path, body, send)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def raw(self, data, client="client"):
        """All that comes back for these bytes until the sink closes or a second passes without more."""
        out = b""
        with self.tls(client) as connection:
            connection.sendall(data)
            connection.settimeout(1)
            try:
                while True:
                    got = connection.recv(65536)
                    if not got:
                        return out
                    out += got
            except (TimeoutError, ssl.SSLError, ConnectionError):
                return out

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=DEADLINE)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def metric(self, name):
        self.read_log()  # a sink whose log nobody reads would wait
        found = re.search("^" + re.escape(name) + r" (\d+)$", self.get("/metrics")[1], re.M)
        return int(found.group(1)) if found else None

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def files(self, kind):
        return sorted(glob.glob(os.path.join(self.dir, kind + "-*")))

    def records(self):
        """All that is stored; a line that is not JSON is an error."""
        out = []
        for name in self.files("records"):
            with open(name) as file:
                out += [json.loads(line) for line in file]
        return out
