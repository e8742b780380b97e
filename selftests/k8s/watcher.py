# SPDX-License-Identifier: Apache-2.0
"""Sensor and sink as they run on and beside the node, and when each record arrived."""
import json
import os
import re
import threading
import time

import tally
from netns import run
from node import OUTSIDE_ADDRESS
from process import Config, Pki, Sensor, Sink, wait_until

GROUP = 64430  # the sensor's own: nft tells its packets by it
SINK_PORT, API_PORT = 4318, 6443
CAPABILITIES = {"net_admin": 12, "sys_ptrace": 19, "sys_admin": 21, "perfmon": 38, "bpf": 39}
ALWAYS = "bpf", "net_admin", "perfmon", "sys_ptrace"


class NodePki(Pki):
    NAMES = OUTSIDE_ADDRESS


class Confined:
    """The node for a program that gets some capabilities only, and a group of its own."""

    def __init__(self, node, capabilities):
        self.node, self.capabilities = node, capabilities
        self.get = node.get

    def command(self, *command):
        bounding = ",".join(["-all", *("+" + name for name in self.capabilities)])
        return self.node.command("setpriv", f"--regid={GROUP}", "--clear-groups", "--no-new-privs",
                                 "--inh-caps=-all", "--bounding-set=" + bounding, *command)


class TimedSink(Sink):
    """Notes when each record was there to be read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.arrived, self._stop = [], threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self):
        while not self._stop.wait(0.05):
            self._note()

    def _note(self):
        self._read_records()
        self.arrived += [time.time_ns()] * (len(self._records) - len(self.arrived))

    def all(self):
        """(record, Unix time in ns when it was seen here); none are looked for any more."""
        self._stop.set()
        self._watcher.join()
        self._note()
        return zip(self._records, self.arrived)

    def end(self):
        self._stop.set()
        self._watcher.join()
        super().end()


class Watcher:
    def __init__(self, build, node, directory):
        self.build, self.node, self.dir = os.path.abspath(build), node, directory
        self.pki, self.sink, self.sensor = NodePki(directory), None, None
        self.loopback = "interfaces.netns" in run(self.binary("sonde"), "run", "--help")
        self.capabilities = [*ALWAYS, *(["sys_admin"] if self.loopback else [])]

    def binary(self, name):
        return os.path.join(self.build, name)

    def start(self):
        """Times are the defaults, but for the interval: what is looked up late must be right, too."""
        self.sink = TimedSink(self.binary("sonde-sink"), self.node.outside, self.pki.dir,
                              os.path.join(self.dir, "sink"), f"{OUTSIDE_ADDRESS}:{SINK_PORT}").wait_ready()
        self._count_packets()
        values = {"flows__interval": "1s", "flows__active_timeout": "10s", "batch__age": "200ms",
                  "packets__head_bytes": "256",
                  "control": os.path.join(self.dir, "control.sock"),
                  "backend__url": f"https://{OUTSIDE_ADDRESS}:{SINK_PORT}", "backend__ca": self.pki.path("ca.crt"),
                  "backend__cert": self.pki.path("client.crt"), "backend__key": self.pki.path("client.key")}
        if self.loopback:
            values["interfaces__netns"] = "all"
        config = Config(os.path.join(self.dir, "sonde.yaml"), **values)
        self.sensor = Sensor(self.binary("sonde"), Confined(self.node, self.capabilities), config).wait_ready()

    def end(self):
        for process in self.sensor, self.sink:
            if process:
                process.end()
                with open(os.path.join(self.dir, process.name + ".log"), "w") as file:
                    file.writelines(line + "\n" for line in process.lines)

    def _count_packets(self):
        run(*self.node.command("nft", f"""
            table inet sonde_count {{
                counter api {{ }}
                counter backend {{ }}
                chain out {{
                    type filter hook output priority 0
                    meta skgid {GROUP} tcp dport {API_PORT} counter name api
                    meta skgid {GROUP} tcp dport {SINK_PORT} counter name backend
                }}
            }}"""))

    def sent(self):
        """Packets that the sensor sent to the API server, and to the sink."""
        rules = json.loads(run(*self.node.command("nft", "-j", "list", "table", "inet", "sonde_count")))["nftables"]
        counters = {item["counter"]["name"]: item["counter"]["packets"] for item in rules if "counter" in item}
        return counters["api"], counters["backend"]

    def has_capabilities(self):
        """(those that the sensor has, those it is to have), as masks."""
        with open(f"/proc/{self.sensor.pid}/status") as file:
            mask = int(re.search(r"CapEff:\s+([0-9a-f]+)", file.read()).group(1), 16)
        return mask, sum(1 << CAPABILITIES[name] for name in self.capabilities)

    def settled(self):
        """A status with nothing on its way; the books in it are checked."""
        def look():
            status = self.sensor.status()
            waiting = status["flows"]["unreported_packets"] + status["ring"]["records"]
            return status if not waiting + sum(kind["queued"] for kind in status["records"].values()) else None
        status = wait_until(look, "everything to be acknowledged", 60)
        tally.check_books(status)
        return status

    def left(self):
        """What a stopped sensor has left on the node."""
        return run(*self.node.command("find", "/sys/fs/bpf", "-mindepth", "1", "-name", "sonde*")).split()

    def misses(self):
        return {series: int(value) for series, value in self.sensor.metrics().items()
                if series.startswith("sonde_enrich_misses_total") and value}

    def log(self):
        """Lines of warnings and errors."""
        return [line for line in self.sensor.lines if re.search(r"level=(warn|error)", line)]
