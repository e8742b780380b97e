#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Identity on a real Kubernetes node: run.py BUILD_DIR. What the records at the sink say of pods and containers is
compared with what the API server and the node's own files say of them.
"""
import argparse
import glob
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "net")]
BINARIES = os.environ.get("SONDE_K8S_BIN")  # before anything is started: to a sensor it would be an unknown key

# pylint: disable=wrong-import-position
import compare
import workload
from process import Failure
from scenario import Cluster
from watcher import Watcher

FLOWS_MIN, NAMED_MIN = 2000, 99.0


class Report:
    def __init__(self):
        self.count = {"ok": 0, "not ok": 0, "skip": 0}
        self.begin = time.monotonic()

    def say(self, *lines):
        for line in lines:
            print(f"# {line}", flush=True)

    def phase(self, what):
        self.say(f"{time.monotonic() - self.begin:6.1f} s: {what}")

    def result(self, good, text, lines=()):
        result = "ok" if good else "not ok"
        self.count[result] += 1
        print(f"{result} - {text}")
        print("".join(f"    {line}\n" for line in lines if not good), end="", flush=True)

    def skip(self, text, reason):
        self.count["skip"] += 1
        print(f"skip - {text} # {reason}", flush=True)

    def closing(self):
        print(f"{self.count['ok']} passed, {self.count['not ok']} failed, {self.count['skip']} skipped")
        return 1 if self.count["not ok"] else 0


def play(cluster, watcher, report):
    """All the workloads; the node is quiet after it. The address that was reused."""
    report.phase("the node is ready")
    cluster.early()
    report.phase("the first pods talk; the sensor starts")
    watcher.start()
    cluster.steady()
    report.phase("all lasting pods talk")
    cluster.job_and_churn()
    report.phase("the job is done, the churn over")
    address = cluster.reuse()
    cluster.wait_pods("restart", good=lambda pod: pod.restarts >= 2)
    report.phase("an address had several owners, a container several lives")
    cluster.end()
    report.phase("all pods are gone")
    return address


def check_truth(cluster, address, report):
    truth = cluster.truth
    contradictions = truth.contradictions()
    report.result(not contradictions, f"the API server and the node agree on {len(truth.pods)} pods with "
                  f"{len(truth.containers)} containers and sandboxes", contradictions[:10])
    owners = truth.addresses[address]
    pauses = [later.begin - earlier.end for earlier, later in zip(owners, owners[1:])]
    report.result(len(owners) >= 4 and sum(pause < 5e9 for pause in pauses) >= 3,
                  f"{address} was {len(owners)} pods', one after the other within "
                  f"{max(pauses, default=0) / 1e9:.1f} s", [str(owner) for owner in owners])
    reuses = truth.reuses()
    report.say(f"{len(reuses)} times an address got another owner, after {reuses[0][0]:.1f} s to {reuses[-1][0]:.1f} s")


def first_named(cluster, judged):
    """Of each pod: seconds from its start to its first packet in a named record, and to such a record's arrival."""
    first = {}
    for record, arrived, verdicts in judged:
        if record["event_name"] != "sonde.flow":
            continue
        for verdict in verdicts:
            if verdict.result == "right":
                packet, arrival = first.get(verdict.uid, (1 << 62, 1 << 62))
                first[verdict.uid] = min(packet, int(record["sonde.flow.start"])), min(arrival, arrived)
    started = {}
    for (uid, _), begin in cluster.truth.started.items():
        started[uid] = min(begin, started.get(uid, begin))
    return [tuple((moment - begin) / 1e9 for moment in first[uid]) for uid, begin in started.items() if uid in first]


def judge(cluster, watcher, report):
    """All records at the sink against the truth."""
    judging = compare.Compare(cluster.truth)
    tables = {kind: compare.Table() for kind in compare.KINDS}
    judged, flows = [], set()
    for record, arrived in watcher.sink.all():
        if record["event_name"] not in tables:
            continue
        verdicts = {end: judging.end(record, end) for end in ("source", "destination")}
        judged.append((record, arrived, list(verdicts.values())))
        for end, verdict in verdicts.items():
            tables[compare.kind_of(record, end)].add(verdict)
        if record["event_name"] == "sonde.flow":
            flows.add((record.get("sonde.flow.id"), record.get("sonde.flow.generation")))
    report.result(len(flows) >= FLOWS_MIN, f"{len(flows)} flows, {len(judged)} records")
    for kind, table in tables.items():
        report.say(f"{kind}, ends:", *("  " + line for line in table.lines()))
        if not table.rows:
            report.skip(f"{kind}: names", "the sensor wrote none")
            continue
        examples = {result: [f"{reason}: {text}" for (kept, what, reason, _), texts in judging.examples.items()
                             if (kept, what) == (kind, result) for text in texts] for result in ("wrong", "missing")}
        report.result(not table.total("wrong"), f"{kind}: no wrong name", examples["wrong"])
        if kind.endswith("other end"):
            report.say(f"{kind}: {table.share():.2f} % of pods' ends are named")
            continue
        report.result(table.share() >= NAMED_MIN, f"{kind}: {table.share():.2f} % of pods' ends are named",
                      examples["missing"])
        report.result(table.share(short=True) >= NAMED_MIN,
                      f"{kind}: {table.share(short=True):.2f} % of short-lived pods' ends are named")
    check_loopback(judged, watcher, report)
    times = first_named(cluster, judged)
    if times:
        packets, arrivals = (sorted(item) for item in zip(*times))
        report.say(f"from a container's start to its first named packet: {len(packets)} pods, median "
                   f"{statistics.median(packets):.3f} s, at most {packets[-1]:.3f} s",
                   f"... to the arrival of the first record with its name: median {statistics.median(arrivals):.3f} s, "
                   f"at most {arrivals[-1]:.3f} s")


def check_loopback(judged, watcher, report):
    """Two containers of one pod, over its loopback."""
    text = "containers of one pod that talk over localhost are told apart"
    if not watcher.loopback:
        report.skip(text, "this sensor does not know interfaces.netns")
        return
    ends = [verdict for record, _, verdicts in judged if record["event_name"] == "sonde.flow"
            and record["source.address"] == record["destination.address"] == "127.0.0.1" for verdict in verdicts]
    good = [verdict for verdict in ends if verdict.app == "pair" and verdict.container == "right"]
    report.result(len(ends) >= 100 and len(good) >= 0.99 * len(ends), f"{text}: {len(good)} of {len(ends)} ends")


def check_watcher(watcher, report):
    """What holds of the sensor itself; stops it."""
    has, wanted = watcher.has_capabilities()
    report.result(has == wanted, f"the sensor has {', '.join(watcher.capabilities)} and no other capability",
                  [f"{has:x}, not {wanted:x}"])
    try:
        status = watcher.settled()
        records = sum(kind["produced"] for kind in status["records"].values())
        report.result(True, f"the books balance: {records} records")
    except Failure as failure:
        report.result(False, "the books balance", str(failure).splitlines())
    report.say("misses that the sensor counted: " + (", ".join(f"{series} {value}" for series, value in
                                                              watcher.misses().items()) or "none"))
    api, backend = watcher.sent()
    report.result(api == 0 and backend > 0, f"no packet to the API server, {backend} to the backend",
                  [f"{api} to the API server"])
    watcher.sensor.stop()
    left = watcher.left()
    report.result(not left, "the sensor leaves nothing pinned", left[:10])
    report.say(*("sensor: " + line for line in watcher.log()[:20]))


def surroundings():
    """What the cluster must leave as it was."""
    def output(*command):
        return set(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())
    cgroups = {path for name in ("kubepods", "sonde-k8s") for depth in ("", "*/")
               for path in glob.glob(f"/sys/fs/cgroup/{depth}{name}")}
    with open("/proc/self/mounts") as file:
        mounts = {line for line in file if "k8s" in line}
    settings = output("sysctl", "vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops")
    networks = {line for line in output("ip", "netns", "list") if "k8s" in line or "cni" in line}
    return cgroups | mounts | settings | networks


def attempt(build, directory, report):
    environment = {"SONDE_K8S_BIN": BINARIES} if BINARIES else {}
    before = surroundings()
    cluster = watcher = None
    try:
        cluster = Cluster(directory, environment)
        watcher = Watcher(build, cluster.node, directory)
        address = play(cluster, watcher, report)
        check_watcher(watcher, report)
        cluster.truth.stop()
        check_truth(cluster, address, report)
        judge(cluster, watcher, report)
    except Failure as failure:
        report.result(False, "the scenario", str(failure).splitlines())
    except Exception:  # a fault of the test is a failure; all is taken down nevertheless
        report.result(False, "the scenario", traceback.format_exc().splitlines())
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not stop the clearing up
        if cluster:
            report.say(*cluster.node.crashes())
        if watcher:
            watcher.end()
        if cluster:
            cluster.close()
    report.result(surroundings() == before, "the cluster leaves nothing behind", sorted(surroundings() ^ before)[:10])
    report.phase("the cluster is gone")


def main():
    parser = argparse.ArgumentParser(description="Identity on a real Kubernetes node. Needs root.")
    parser.add_argument("build", help="the build directory, with sonde and sonde-sink")
    parser.add_argument("--keep", action="store_true", help="keep the records and the configuration")
    options = parser.parse_args()
    report = Report()
    if os.geteuid():
        report.skip("Kubernetes", "only root can make a node")
        return report.closing()
    found = subprocess.run([os.path.join(HERE, "cluster"), "binaries"], capture_output=True, text=True, check=False)
    if found.returncode == 77:
        print(found.stderr, end="")
        report.skip("Kubernetes", "its programs are not here; set SONDE_K8S_BIN")
        return report.closing()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: stopped"))
    directory = tempfile.mkdtemp(prefix="sonde-k8s-", dir="/var/tmp")
    try:
        attempt(options.build, directory, report)
    finally:
        if options.keep:
            report.say(f"kept: {directory}")
        else:
            shutil.rmtree(directory)
    return report.closing()


if __name__ == "__main__":
    sys.exit(main())
