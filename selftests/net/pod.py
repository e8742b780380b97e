# SPDX-License-Identifier: Apache-2.0
"""Pods as a kubelet would have made them, without one: cgroups, log directories, namespaces behind veths."""
import os
import subprocess
import sys
import uuid

from harness import Skip
from netns import veth
from process import clean_environment


def cgroup2():
    with open("/proc/mounts") as file:
        mounts = [line.split() for line in file]
    for _, path, kind, *_ in mounts:
        if kind == "cgroup2":
            return path
    raise Skip("no cgroup v2 tree")


class Pod:
    """A namespace behind a veth, a cgroup and a log directory as the kubelet would have made them."""

    def __init__(self, stage, cgroups, n, kubernetes="shop"):
        self.stage, self.n, self.name, self.address = stage, n, f"pod-{n}", f"10.7.{n}.2"
        self.processes = []
        self.uid = str(uuid.UUID(int=stage.random.getrandbits(128)))
        self.container = f"{stage.random.getrandbits(256):064x}"
        self.namespace = stage.namespace(self.name)
        veth(stage.host, f"lxc{n}", self.namespace, "eth0")
        self.namespace.address("eth0", self.address + "/24")
        stage.host.address(f"lxc{n}", f"10.7.{n}.1/24")
        self.namespace.ip("route", "add", "default", "via", f"10.7.{n}.1")
        self.cgroup = os.path.join(cgroups, "besteffort", "pod" + self.uid, self.container)
        self.logs = os.path.join(stage.dir, "pods", f"{kubernetes}_{self.name}_{self.uid}")
        os.makedirs(os.path.join(self.logs, "app"))
        links = os.path.join(stage.dir, "containers")
        os.makedirs(links, exist_ok=True)
        os.symlink(os.path.join(self.logs, "app", "0.log"),
                   os.path.join(links, f"{self.name}_{kubernetes}_app-{self.container}.log"))
        os.makedirs(self.cgroup)

    def run(self, program, *args):
        """A Python program as a process of the pod."""
        def enter():
            with open(self.cgroup + "/cgroup.procs", "w") as file:
                file.write("0")
        process = subprocess.Popen(self.namespace.command(sys.executable, "-c", program, *args), preexec_fn=enter,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment())
        self.stage.on_close(process.stdout.close)
        self.stage.on_close(process.stdin.close)
        self.stage.on_close(process.wait)
        self.stage.on_close(process.kill)
        self.processes.append(process)
        return process

    def owner(self):
        return {"k8s.namespace.name": "shop", "k8s.pod.name": self.name, "k8s.pod.uid": self.uid,
                "k8s.container.name": "app", "container.id": self.container}


def remove_cgroups(top):
    for path, _, _ in os.walk(top, topdown=False):
        os.rmdir(path)
