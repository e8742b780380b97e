# SPDX-License-Identifier: Apache-2.0
"""Each end of each record against the truth: named right, not named, or wrong."""
import datetime
import ipaddress
from collections import Counter
from dataclasses import dataclass

import workload
from node import ADDRESSES

# Between the moment in which an address or a container is somebody's and the one in which a file says so (a plugin gives an
# address back before it takes the interface down); and a tick
# of the sensor's clock.
SLACK = 300_000_000  # ns
REASONS = "sonde.flow.reason", "sonde.packet.reason", "sonde.socket.action"
EXAMPLES = 2  # of each reason and workload
KINDS = "sonde.flow", "sonde.packet", "sonde.socket", "sonde.socket, other end"
OURS = [ipaddress.ip_network(network) for network in ("10.77.0.0/24", "10.88.1.0/24", "10.96.0.0/16")]
POD_NAMES = {"k8s.namespace.name": "namespace", "k8s.pod.name": "name", "k8s.pod.uid": "uid"}
PROGRAM = "talk"  # all that our pods' sockets belong to


@dataclass
class Verdict:
    """Of one end. APP "": it is no pod's."""
    app: str
    result: str          # right, missing, wrong, foreign (no pod's, and not named)
    reason: str = ""     # of missing and wrong
    container: str = ""  # right, missing, wrong; "": nobody can say
    uid: str = ""        # of the pod that was named right
    short: bool = False


def _ns(text):
    """Of a record's time; datetime has no nanoseconds."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.datetime.fromisoformat(seconds + "+00:00").timestamp()) * 1_000_000_000 + int(fraction)


def _span(record):
    if record["event_name"] == "sonde.flow":
        return int(record["sonde.flow.start"]), int(record["sonde.flow.end"])
    return (_ns(record["time"]),) * 2


def kind_of(record, end):
    """A record of a socket is about its own end first; who is at the other one may be beyond this host's knowledge."""
    kind = record["event_name"]
    own = "source" if record.get("network.io.direction") == "transmit" else "destination"
    return kind + ", other end" if kind == "sonde.socket" and end != own else kind


def _ours(address):
    return any(ipaddress.ip_address(address) in network for network in OURS)


def _port_owner(apps, port):
    """(app, container) whose port it is on an address that several share."""
    for app in apps:
        for container, ranges in workload.PORTS[app].items():
            if any(port in numbers for numbers in ranges):
                return app, container
    return None, None


class Compare:
    # Addresses of several pods, which are told apart by their ports.
    SHARED = {**{address: workload.HOST_NETWORK for address in ADDRESSES}, "127.0.0.1": ("pair",)}

    def __init__(self, truth):
        self.truth = truth
        self.examples = {}  # (kind of record, result, reason, app): texts

    def _candidates(self, address, port, begin, end):
        """(uids that the end may be named by, whether it must be named)"""
        shared = self.SHARED.get(address)
        if shared:
            app, _ = _port_owner(shared, port)
            return {pod.uid for pod in self.truth.of(app)} if app else set(), bool(app)
        exact = self.truth.owners(address, begin, end)
        return exact or self.truth.owners(address, begin, end, SLACK), bool(exact)

    def _container(self, pod, port, names, begin, end):
        """(right, missing or wrong; why) of the container that is named."""
        name, container = names.get("k8s.container.name"), names.get("container.id")
        ports = workload.PORTS.get(pod.app)
        known = set(pod.containers.values())
        expected = _port_owner([pod.app], port)[1] if ports else next(iter(known)) if len(known) == 1 else None
        span = self.truth.containers.get(container)
        if container and not span:
            return "wrong", "container id of nobody"
        if span and span.pod != pod.uid:
            return "wrong", "container of another pod"
        if span and span.name != (name or span.name if span.name else name or ""):
            return "wrong", "name of another container"
        if span and not span.meets(begin, end, SLACK):
            return "wrong", "container of another time"
        if name and expected and name != expected or span and span.name and expected and span.name != expected:
            return "wrong", "other container of the pod"
        if name and name not in known:
            return "wrong", "container name of nobody"
        return ("right" if name and span else "missing"), ""

    def _judge(self, record, end, names):
        address, port = record[end + ".address"], record.get(end + ".port", 0)
        begin, until = _span(record)
        uids, must = self._candidates(address, port, begin, until)
        pods = [self.truth.pods[uid] for uid in uids if uid in self.truth.pods]
        app = pods[0].app if len(pods) == 1 else "(several)" if pods else ""
        short = bool(pods) and all(pod.app in workload.SHORT_LIVED for pod in pods)
        told = {key: names[key] for key in POD_NAMES if key in names}
        if not pods:
            if not _ours(address) and told.get("k8s.pod.uid") not in self.truth.pods:
                return Verdict("", "foreign")  # somebody else's on this machine, in a network of their own
            if told or "container.id" in names or "k8s.container.name" in names:
                return Verdict("", "wrong", "named, and no pod")
            return Verdict("", "foreign")
        matching = [pod for pod in pods if all(getattr(pod, POD_NAMES[key]) == value for key, value in told.items())]
        if told and not matching:
            return Verdict(app, "wrong", "another pod", short=short)
        program = names.get("process.executable.name", PROGRAM)
        if program != PROGRAM:
            return Verdict(app, "wrong", f"process {program}", short=short)
        if len(told) < len(POD_NAMES):
            reason = "uid only" if told else "container id only" if "container.id" in names else "no name"
            return Verdict(app, "missing" if must and len(pods) == 1 else "foreign", reason, short=short)
        result, reason = self._container(matching[0], port, names, begin, until)
        if result == "wrong":
            return Verdict(app, "wrong", reason, "wrong", short=short)
        return Verdict(app, "right", "", result, matching[0].uid, short)

    def end(self, record, end):
        """The verdict on END ("source", "destination") of a record; with examples kept of what is not right."""
        prefixes = end + ".k8s.", end + ".container.", end + ".process."
        names = {key.removeprefix(end + "."): value for key, value in record.items() if key.startswith(prefixes)}
        verdict = self._judge(record, end, names)
        if verdict.result in ("missing", "wrong"):
            kept = self.examples.setdefault((kind_of(record, end), verdict.result, verdict.reason, verdict.app), [])
            if len(kept) < EXAMPLES:
                kept.append(self._tell(record, end, names))
        return verdict

    def _tell(self, record, end, names):
        begin, until = _span(record)
        owners = [f"{self.truth.pods[uid].name if uid in self.truth.pods else uid} from "
                  f"{(span.begin - begin) / 1e9:+.3f} s" +
                  (f" to {(span.end - begin) / 1e9:+.3f} s" if span.over else "")
                  for span in self.truth.addresses.get(record[end + ".address"], ())
                  for uid in [self.truth.containers[span.what].pod if span.what in self.truth.containers else ""]]
        other = "destination" if end == "source" else "source"
        why = next((record[key] for key in REASONS if key in record), "")
        return (f"{record['event_name']} {end} {record[end + '.address']}:{record.get(end + '.port', 0)} (other end "
                f"{record[other + '.address']}:{record.get(other + '.port', 0)}) "
                f"{record.get('network.transport')} {why} on {record.get('network.interface.name')} "
                f"{record.get('network.io.direction')} at {record['time']}, "
                f"{(until - begin) / 1e9:.3f} s long: {names}; the address was {owners}")


class Table:
    """The confusion table of one kind of record."""

    def __init__(self):
        self.rows = {}
        self.reasons = Counter()

    def add(self, verdict):
        row = self.rows.setdefault(verdict.app or "(no pod)", Counter())
        row[verdict.result] += 1
        if verdict.result == "right" and verdict.container == "right":
            row["container"] += 1
        if verdict.short and verdict.result != "foreign":
            row["short"] += 1
        if verdict.result in ("missing", "wrong"):
            self.reasons[verdict.result, verdict.app or "(no pod)", verdict.reason] += 1

    def total(self, result, short=False):
        return sum(row[result] for row in self.rows.values() if row["short"] or not short)

    def share(self, short=False):
        """Of the ends that are pods', named right; in percent."""
        right, missing, wrong = (self.total(result, short) for result in ("right", "missing", "wrong"))
        return 100 * right / max(right + missing + wrong, 1)

    def lines(self):
        out = [f"{'workload':14} {'right':>8} {'container':>10} {'not named':>10} {'wrong':>7} {'no pod':>8}"]
        for app, row in sorted(self.rows.items()):
            out.append(f"{app:14} {row['right']:8} {row['container']:10} {row['missing']:10} {row['wrong']:7} "
                       f"{row['foreign']:8}")
        out += [f"{result}: {app}: {reason}: {count}" for (result, app, reason), count in sorted(self.reasons.items())]
        return out
