# SPDX-License-Identifier: Apache-2.0
"""Sensor and sink as real processes, whose log is read as it is written, and their certificates."""
import glob
import json
import os
import re
import signal
import subprocess
import threading
import time

from netns import run

DEADLINE = 30  # seconds after which a wait is a failure
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:")


class Failure(Exception):
    """Something is not as it must be; the text says what."""


def wait_until(condition, what, seconds=DEADLINE):
    """The first true value of CONDITION; WHAT (text, or a function that makes it) is told if there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s in vain for " + (what() if callable(what) else what))
        time.sleep(0.02)


def clean_environment():
    env = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:exitcode=99"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    return env


class Process:
    """A program in a namespace; what it prints is its log."""

    def __init__(self, name, namespace, command):
        self.name, self.lines, self._changed = name, [], threading.Condition()
        self.popen = subprocess.Popen(namespace.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=clean_environment(), text=True, errors="replace")
        self.pid = self.popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def position(self):
        return len(self.lines)

    def wait_log(self, pattern, after=0, seconds=DEADLINE):
        """The first line from number AFTER on that has the pattern."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for line in self.lines[after:]:
                    if re.search(pattern, line):
                        return line
                after = len(self.lines)
                if not self._reader.is_alive() or time.monotonic() > end:
                    raise Failure(f"no line with \"{pattern}\" in the log of {self.name}")
                self._changed.wait(0.2)

    def running(self):
        return self.popen.poll() is None

    def send_signal(self, number):
        self.popen.send_signal(number)

    def wait(self):
        """The exit code."""
        try:
            code = self.popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {DEADLINE} s") from None
        self._reader.join()
        return code

    def stop(self, number=signal.SIGTERM):
        """Stops it; anything but a clean end is a failure."""
        self.send_signal(number)
        code = self.wait()
        if code:
            raise Failure(f"{self.name} ended with exit code {code} after {signal.Signals(number).name}")
        self.check_sanitizers()

    def kill(self):
        self.send_signal(signal.SIGKILL)
        self.wait()

    def end(self):
        """At the end of a test, in whatever state it is."""
        if self.running():
            self.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join()
        self.popen.stdout.close()

    def check_sanitizers(self):
        for i, line in enumerate(self.lines):
            if SANITIZER.search(line):
                raise Failure(f"a sanitizer complains of {self.name}:\n" + "\n".join(self.lines[i:i + 40]))

    def rss(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Sink(Process):
    """A running sonde-sink, and what it stored."""

    def __init__(self, binary, namespace, pki, directory, listen="127.0.0.1:4318"):
        self.dir, self._read_to, self._records, self._packets = directory, {}, [], 0
        values = {"listen": listen, "ca": pki + "/ca.crt", "cert": pki + "/server.crt", "key": pki + "/server.key",
                  "dir": directory, "metrics.listen": "127.0.0.1:9798"}
        super().__init__("sink", namespace, [binary, *(f"--set={key}={value}" for key, value in values.items())])

    def wait_ready(self):
        self.wait_log("msg=listening")
        return self

    def _read_records(self):
        for name in sorted(glob.glob(os.path.join(self.dir, "records-*.ndjson"))):
            with open(name, "rb") as file:
                file.seek(self._read_to.get(name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half written
                    record = json.loads(line)
                    self._read_to[name] = self._read_to.get(name, 0) + len(line)
                    self._packets += record.get("source.packets", 0) + record.get("destination.packets", 0)
                    self._records.append(record)

    def records(self, kind="sonde.flow"):
        """What is stored of a kind."""
        self._read_records()
        return [record for record in self._records if record["event_name"] == kind]

    def packets(self):
        """The sum over all flow records' deltas."""
        self._read_records()
        return self._packets


class Sensor(Process):
    """A running `sonde run` with a configuration file of its own, and its ways to be asked."""

    def __init__(self, binary, namespace, config, *args, hosts=None, through=()):
        """HOSTS: a file that it sees as /etc/hosts. THROUGH: a command that starts it."""
        self.binary, self.namespace, self.config = binary, namespace, config
        inside = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts] if hosts else []
        super().__init__("sensor", namespace, [*inside, *through, binary, "run", "-c", config.path, *args])

    def wait_ready(self):
        self.wait_log("msg=watching")
        wait_until(lambda: self.get("/readyz")[0] == 200, "/readyz to answer 200")
        return self

    def get(self, path):
        return self.namespace.get(9797, path)

    def metrics(self):
        """Each series of /metrics with its value."""
        status, text = self.get("/metrics")
        if status != 200:
            raise Failure(f"/metrics answers {status}")
        return {series: float(value) for series, value in
                (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}

    def status(self):
        # Not by the file: a test may have written a wrong one.
        command = [self.binary, "status", "--json", "--set", "control=" + self.config.values["control"]]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False,
                              timeout=2 * DEADLINE)
        if done.returncode or SANITIZER.search(done.stderr):
            raise Failure(f"sonde status: exit code {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def interface(self, name):
        """Its part of the status; None: it is not attached."""
        return next((entry for entry in self.status()["interfaces"] if entry["name"] == name), None)

    def reload(self, **values):
        """New values into the file, SIGHUP, and the lines that are logged about it."""
        self.config.write(**values)
        before = self.position()
        self.send_signal(signal.SIGHUP)
        self.wait_log("configuration read again|configuration is not valid", before)
        return self.lines[before:]


class Config:
    """A YAML file. Keys are given as keyword arguments with __ for the dot: flows__max="64"."""

    def __init__(self, path, **values):
        self.path, self.values = path, {}
        self.write(**values)

    def write(self, **values):
        self.values.update({key.replace("__", "."): value for key, value in values.items()})
        lines, sections = [], {}
        for key, value in sorted(self.values.items()):
            section, _, name = key.rpartition(".")
            text = json.dumps(value) if isinstance(value, (list, bool)) else str(value)
            sections.setdefault(section, []).append(f"{name}: {text}")
        lines = sections.pop("", [])
        for section, items in sections.items():
            lines += [section + ":", *("  " + item for item in items)]
        with open(self.path + ".new", "w") as file:
            file.write("\n".join(lines) + "\n")
        os.rename(self.path + ".new", self.path)


class Pki:
    """Certificates, made once and shared by all tests: a CA with server and client; an expired client; a foreign CA."""

    NAMES = "localhost,backend.test,127.0.0.1,::1,10.8.0.2,fd08::2"

    def __init__(self, directory):
        self.dir, self.foreign = directory + "/pki", directory + "/foreign-pki"
        for path in self.dir, self.foreign:
            run(TREE + "/scripts/pki", "--server-name", self.NAMES, path)
        self._expired()

    def path(self, name):
        return os.path.join(self.dir, name)

    def _expired(self):
        request = run("openssl", "req", "-new", "-key", self.path("client.key"), "-subj", "/CN=expired")
        certificate = run("openssl", "x509", "-req", "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"), "-days",
                          "-1", "-set_serial", "99", input=request)
        with open(self.path("expired.crt"), "w") as file:
            file.write(certificate)
