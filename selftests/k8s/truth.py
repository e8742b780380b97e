# SPDX-License-Identifier: Apache-2.0
"""
What is true of pods, over time: names, addresses and containers by the API server; when exactly an address was whose,
by the files of the address pool (CNI's host-local); when exactly a container was there, by containerd's bundles.
"""
import glob
import ipaddress
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field

from node import fields

SETTING_UP = 1_000_000_000  # ns that an interface may be up before its file is written
POLL = 0.02  # seconds between two looks at the files
BUNDLES = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
ADDRESSES = "/var/lib/cni/networks/sonde"
INTERFACES = "/var/lib/cni/results"
FOR_EVER = 1 << 62


@dataclass
class Pod:
    """As the API server has it."""
    uid: str
    namespace: str
    name: str
    app: str
    host_network: bool
    addresses: set = field(default_factory=set)
    containers: dict = field(default_factory=dict)  # id: name
    phase: str = ""
    restarts: int = 0
    deleted: bool = False


@dataclass
class Span:
    """Something that was there for a while. Unix time, ns."""
    what: str  # container id
    begin: int
    end: int = FOR_EVER
    pod: str = ""   # uid
    name: str = ""  # of the container; "": a pod's sandbox

    @property
    def over(self):
        return self.end != FOR_EVER

    def meets(self, begin, end, slack=0):
        return self.begin - slack <= end and begin <= self.end + slack


def _link_local(mac):
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + interface))


def _text(message, number):
    return message.get(number, [b""])[0].decode()


def _pod(data):
    """From the fields of v1.Pod: metadata 1, spec 2, status 3."""
    meta, spec, status = (fields(fields(data)[number][0]) for number in (1, 2, 3))
    labels = {_text(entry, 1): _text(entry, 2) for entry in map(fields, meta.get(11, []))}
    pod = Pod(_text(meta, 5), _text(meta, 3), _text(meta, 1), labels.get("app", ""), bool(spec.get(11, [0])[0]))
    pod.phase = _text(status, 1)
    pod.addresses = {_text(fields(entry), 1) for entry in status.get(12, [])}
    for entry in map(fields, status.get(8, []) + status.get(10, [])):
        pod.restarts += entry.get(5, [0])[0]
        ids = [_text(entry, 8)]
        for state in map(fields, entry.get(2, []) + entry.get(3, [])):
            ids += [_text(fields(ended), 7) for ended in state.get(3, [])]
        pod.containers.update({text.rpartition("/")[2]: _text(entry, 1) for text in ids if text})
    return pod


class Truth:
    def __init__(self, node, api):
        self.node, self.pods = node, {}
        self.addresses, self.containers = {}, {}  # address: spans; container id: span
        self.started = {}  # (pod uid, container): when its program began, by its own first line
        self._api, self._open, self._logs, self._stop, self.error = api, {}, {}, threading.Event(), None
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                         for work in (self._watch, self._poll)]
        for thread in self._threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except Exception as error:  # told by check(): a thread cannot fail a test itself
            if not self._stop.is_set():
                self.error = error

    def check(self):
        if self.error:
            raise self.error

    def stop(self):
        self._stop.set()
        self._threads[1].join()

    # The API server

    def _watch(self):
        for what, data in self._api.watch("/api/v1/pods"):
            now = _pod(data)
            pod = self.pods.setdefault(now.uid, now)
            pod.phase, pod.restarts, pod.deleted = now.phase, max(pod.restarts, now.restarts), what == "DELETED"
            pod.addresses |= now.addresses
            pod.containers.update(now.containers)

    def of(self, app):
        return [pod for pod in list(self.pods.values()) if pod.app == app]

    # The node's files

    def _poll(self):
        while not self._stop.wait(POLL):
            self._look_at_addresses()
            self._look_at_interfaces()
            self._look_at_bundles()
            self._look_at_logs()

    def _changes(self, kind, names):
        """New names; the spans of those that are gone end now."""
        now, known = time.time_ns(), self._open.setdefault(kind, {})
        for name in known.keys() - names:
            span = known.pop(name)
            if span:
                span.end = now
        return names - known.keys(), known

    def _look_at_addresses(self):
        base = self.node.path_of(ADDRESSES)
        try:
            names = {(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(base)
                     if re.fullmatch(r"[0-9.]+", entry.name)}
        except FileNotFoundError:  # none given yet; one taken back a moment ago
            return
        new, known = self._changes("addresses", names)
        for address, begin in new:
            try:
                with open(f"{base}/{address}") as file:
                    sandbox = file.read().split()[0]
            except (FileNotFoundError, IndexError):
                continue
            known[address, begin] = self._had(address, sandbox, begin)

    def _had(self, address, sandbox, begin):
        span = Span(sandbox, begin)
        self.addresses.setdefault(address, []).append(span)
        return span

    def _look_at_interfaces(self):
        """IPv6 is not configured, but each interface has the address that follows from its own hardware's."""
        base = self.node.path_of(INTERFACES)
        try:
            new, known = self._changes("interfaces", {name for name in os.listdir(base) if name.startswith("sonde-")})
            for name in new:
                with open(f"{base}/{name}") as file:
                    content, begin = json.load(file), os.stat(file.fileno()).st_mtime_ns
                mac = next(item["mac"] for item in content["result"]["interfaces"] if item.get("sandbox"))
                known[name] = self._had(_link_local(mac), content["containerId"], begin - SETTING_UP)
        except (FileNotFoundError, ValueError):  # none yet; gone a moment ago; half written
            return

    def _look_at_bundles(self):
        base = self.node.dir + BUNDLES
        try:
            new, known = self._changes("bundles", set(os.listdir(base)))
        except FileNotFoundError:
            return
        for name in new:
            try:
                with open(f"{base}/{name}/config.json") as file:
                    config, begin = json.load(file), os.stat(file.fileno()).st_mtime_ns
            except (FileNotFoundError, ValueError):
                continue  # not written yet
            notes = config["annotations"]
            known[name] = Span(name, begin, name=notes.get("io.kubernetes.cri.container-name", ""),
                               pod=re.search(r"/pod([0-9a-f-]+)/", config["linux"]["cgroupsPath"]).group(1))
            self.containers[name] = known[name]

    def _look_at_logs(self):
        for path in glob.glob(self.node.path_of("/var/log/pods") + "/*/*/0.log"):
            pod, container = path.split("/")[-3:-1]
            key = pod.rpartition("_")[2], container
            if key not in self.started:
                with open(path) as file:
                    found = re.search(r" start (\d+)\n", file.readline())
                if found:
                    self.started[key] = int(found.group(1))

    # Answers

    def owners(self, address, begin, end, slack=0):
        """The uids of pods that had an address within a time."""
        return {self.containers[span.what].pod for span in self.addresses.get(address, ())
                if span.meets(begin, end, slack) and span.what in self.containers}

    def contradictions(self):
        """What the API server and the node's files tell differently of pods; texts."""
        out = []
        for uid, pod in self.pods.items():
            for container, name in pod.containers.items():
                span = self.containers.get(container)
                if not span or (span.pod, span.name) != (uid, name):
                    out.append(f"container {container[:12]} {name} of {pod.name}: on the node {span}")
            had = {address for address, spans in self.addresses.items() for span in spans
                   if span.what in self.containers and self.containers[span.what].pod == uid}
            if not pod.host_network and not pod.addresses <= had:
                out.append(f"addresses of {pod.name}: {pod.addresses}, on the node {had}")
        return out

    def reuses(self):
        """(seconds from one owner to the next, address) of each change of owner."""
        return sorted(((later.begin - earlier.end) / 1e9, address) for address, spans in self.addresses.items()
                      for earlier, later in zip(spans, spans[1:]))
