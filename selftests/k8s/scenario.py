# SPDX-License-Identifier: Apache-2.0
"""The node's day: what is there before the sensor, what comes after, and when it goes."""
import os
import subprocess
import time

import workload
from netns import run
from node import ADDRESS, Api, Node
from process import TREE, Failure, wait_until
from truth import Truth

CHURN_PODS, CHURN_SECONDS, REUSES = 25, 1, 4
PATIENCE = 150  # seconds; a busy machine is a slow node


class Cluster:
    """A node with its workloads and the truth about them; `close` removes all of it."""

    def __init__(self, directory, environment):
        self.dir, self.node = directory, Node(os.path.join(directory, "node"))
        self._outside, self._ended, self.truth = None, set(), None
        try:
            self.node.up(environment)
            self.api = Api(self.node)
            self._image()
            self.truth = Truth(self.node, self.api)
        except BaseException:  # Ctrl-C, too
            self.close()
            raise

    def _image(self):
        root = os.path.join(self.dir, "image")
        os.makedirs(root + "/bin")
        talk = os.path.join(self.dir, "talk")
        run("cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static", "-o", talk, TREE + "/selftests/k8s/talk.c")
        run("cp", talk, root + "/bin/talk")
        run("cp", "/bin/busybox", root + "/bin/busybox")
        os.symlink("busybox", root + "/bin/sh")
        self.node.image("talk", root)
        self._outside = subprocess.Popen(self.node.outside.command(talk, "serve", str(workload.OUTSIDE_PORT)),
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def close(self):
        if self._outside:
            self._outside.kill()
            self._outside.wait()
        if self.truth:
            self.truth.stop()
        self.node.down()

    def create(self, path, body):
        self.api.call("POST", path, body)

    def delete(self, path, body):
        """Of what `create` made; its pods go after it."""
        self.api.call("DELETE", f"{path}/{body['metadata']['name']}", {
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})

    def wait_pods(self, app, count=1, good=lambda pod: pod.phase == "Running", seconds=PATIENCE):
        """So many pods of an app with an address that are GOOD."""
        def look():
            self.truth.check()
            pods = [pod for pod in self.truth.of(app) if not pod.deleted and pod.addresses and good(pod)]
            return pods if len(pods) >= count else None
        return wait_until(look, lambda: f"{count} pods of {app}; there are {self.truth.of(app)}", seconds)

    def _wait_service_account(self, namespace):
        def look():
            try:
                return self.api.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            except Failure:
                return None
        wait_until(look, "the service account of " + namespace)

    def _rules(self):
        """What kube-proxy would do for our services."""
        chain = []
        for address, app, port in (workload.WEB, "web", 8080), (workload.PAIR, "pair", 8081):
            addresses = [address for pod in self.truth.of(app) for address in pod.addresses]
            if addresses:
                targets = ", ".join(f"{n} : {address} . {port}" for n, address in enumerate(addresses))
                chain.append(f"ip daddr {address} meta l4proto {{ tcp, udp }} th dport 80 "
                             f"dnat ip addr . port to numgen inc mod {len(addresses)} map {{ {targets} }}")
        rules = "; ".join(chain)
        return f"""
            table ip sonde_test {{ }}
            delete table ip sonde_test
            table ip sonde_test {{
                chain pods {{ type nat hook prerouting priority -100; {rules}; }}
                chain node {{ type nat hook output priority -100; {rules}; }}
            }}"""

    def services(self):
        run(*self.node.command("nft", self._rules()))

    def early(self):
        """What is there before the sensor starts."""
        for name in workload.SHOP, workload.BATCH:
            self.create(*workload.namespace(name))
            self._wait_service_account(name)
        for item in workload.early():
            self.create(*item)
        self.wait_pods("web", 3)
        self.services()
        self.wait_pods("early")

    # Once the sensor is there

    def steady(self):
        for item in workload.steady(ADDRESS):
            self.create(*item)
        self.wait_pods("pair")
        self.services()
        for app in "client", "agent", "probe", "caller", "staged":
            self.wait_pods(app)

    def job_and_churn(self):
        """A pod a second comes and goes, while the job's come in tens."""
        self.create(*workload.job())
        for n in range(CHURN_PODS):
            begin = time.monotonic()
            self.create(*workload.churn(n))
            self._end_churn()
            time.sleep(max(0, begin + CHURN_SECONDS - time.monotonic()))
        wait_until(lambda: not self._end_churn(), lambda: f"the last of the churn: {self._end_churn()}", PATIENCE)
        wait_until(lambda: sum(pod.phase == "Succeeded" for pod in self.truth.of("job")) >= workload.JOB_PODS,
                   lambda: f"the job: {[pod.phase for pod in self.truth.of('job')]}", PATIENCE)

    def _end_churn(self):
        """Deletes the pods of the churn that run; true while there are any left."""
        left = [pod for pod in self.truth.of("churn") if not pod.deleted]
        for pod in left:
            if pod.phase == "Running" and pod.uid not in self._ended:
                self._ended.add(pod.uid)
                self.delete(*workload.churn(int(pod.name.rpartition("-")[2])))
        return left

    def reuse(self):
        """One pod after the other gets the same address, which somebody asks all the time."""
        self.create(*workload.reuse(0))
        address = next(iter(self.wait_pods("reuse")[0].addresses))
        self.create(*workload.reuse_caller(address))
        self.wait_pods("reuse-caller")
        for n in range(1, REUSES):
            time.sleep(2)
            self.delete(*workload.reuse(n - 1))
            wait_until(lambda: all(span.over for span in self.truth.addresses[address]),
                       "the address to be free again")
            self._next_address(address)
            self.create(*workload.reuse(n))
            self.wait_pods("reuse", good=lambda pod, name=f"reuse-{n}": (pod.name, pod.phase) == (name, "Running"))
        time.sleep(2)
        return address

    def _next_address(self, address):
        """The pool gives the one that follows the last it gave."""
        head, _, last = address.rpartition(".")
        with open(self.node.path_of("/var/lib/cni/networks/sonde/last_reserved_ip.0"), "w") as file:
            file.write(f"{head}.{int(last) - 1}")

    def end(self):
        """All pods go, so that the traffic ends."""
        for item in workload.early() + workload.steady(ADDRESS) + [workload.job()]:
            if item[1]["kind"] != "Service":
                self.delete(*item)
        for pod in list(self.truth.pods.values()):
            if pod.app in ("reuse", "reuse-caller") and not pod.deleted:
                self.delete(f"/api/v1/namespaces/{pod.namespace}/pods", {"metadata": {"name": pod.name}})
        wait_until(lambda: all(pod.deleted for pod in list(self.truth.pods.values())),
                   lambda: f"the end of {[pod.name for pod in self.truth.pods.values() if not pod.deleted]}", PATIENCE)
