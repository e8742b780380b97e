# SPDX-License-Identifier: Apache-2.0
"""The node as a place to run things, and its API server. Asked and answering in protobuf but for what is created."""
import http.client
import json
import os
import ssl
import subprocess

from netns import Namespace
from process import TREE, Failure, clean_environment

CLUSTER = TREE + "/selftests/k8s/cluster"
ADDRESS, OUTSIDE_ADDRESS = "10.88.1.1", "10.88.1.254"
ADDRESSES = ADDRESS, "10.77.0.1"  # the second one is at the node's side of each pod's veth
# JSON answers of 1.20 are fatal to it when built with a later Go (see the script `cluster`).
PROTOBUF = "application/vnd.kubernetes.protobuf"


def fields(data):
    """A protobuf message as {field number: [values]}: integers, or bytes for what has a length."""
    out, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at, value = at + value, data[at:at + value]
        elif tag & 7:
            raise ValueError(f"wire type {tag & 7}")
        out.setdefault(tag >> 3, []).append(value)
    return out


def unwrap(data):
    """What is in the envelope of an API object: "k8s", a NUL, and a message with the object as field 2."""
    return fields(data[4:])[2][0]


class Entered(Namespace):
    """A network namespace of the cluster's, which made it and removes it."""

    def __init__(self, name):  # pylint: disable=super-init-not-called
        self.name, self.path, self._outside = name, "/run/netns/" + name, []


class Node(Entered):
    """The cluster in DIRECTORY; commands run in the node's network and among its mounts."""

    def __init__(self, directory):
        super().__init__("sonde-k8s-node")
        self.dir, self.outside = directory, Entered("sonde-k8s-outside")

    def up(self, environment):
        done = subprocess.run([CLUSTER, "up", self.dir], env={**clean_environment(), **environment}, check=False,
                              capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"the cluster does not start: {done.stderr.strip()}")

    def image(self, name, root):
        subprocess.run([CLUSTER, "image", self.dir, name, root], check=True, env=clean_environment())

    def down(self):
        # Not to be interrupted by the Ctrl-C that led here, if it comes twice.
        subprocess.run([CLUSTER, "down", self.dir], check=True, env=clean_environment(), start_new_session=True)

    def crashes(self):
        """What daemons that died have said, in lines."""
        out = []
        for name in sorted(os.listdir(self.dir + "/log")):
            with open(f"{self.dir}/log/{name}", errors="replace") as file:
                lines = file.read().splitlines()
            for n, line in enumerate(lines):
                if line.startswith(("fatal error:", "panic:")):
                    out += [f"{name}: {said}" for said in lines[max(0, n - 1):n + 40]]
                    break
        return out

    def command(self, *command):
        return ["nsenter", "--net=" + self.path, f"--mount={self.dir}/mnt/ns", *command]

    def path_of(self, path):
        """Where a file below the node's /var/lib or /var/log is outside of its mounts."""
        return os.path.join(self.dir, path.removeprefix("/").replace("/", "-", 1))


class Api:
    """The API server, as administrator."""

    def __init__(self, node):
        self.node = node
        self._context = ssl.create_default_context(cafile=node.dir + "/pki/api/apiserver.crt")
        with open(node.dir + "/pki/token") as file:
            self._headers = {"Authorization": "Bearer " + file.read().strip(), "Content-Type": "application/json",
                             "Accept": PROTOBUF}

    def _ask(self, method, path, body=None, accept=PROTOBUF):
        with self.node:
            connection = http.client.HTTPSConnection(ADDRESS, 6443, context=self._context, timeout=60)
            connection.request(method, path, json.dumps(body) if body else None, {**self._headers, "Accept": accept})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise Failure(f"API server: {method} {path}: {answer.status} {answer.read()!r}")
        return connection, answer

    def call(self, method, path, body=None):
        """The answer's object, undone of its envelope."""
        connection, answer = self._ask(method, path, body)
        try:
            return unwrap(answer.read())
        finally:
            connection.close()

    def watch(self, path):
        """Yields (what happened: ADDED, MODIFIED, DELETED; the object), for ever."""
        _, answer = self._ask("GET", path + "?watch=1&resourceVersion=0", accept=PROTOBUF + ";stream=watch")
        while True:
            size = answer.read(4)
            if len(size) < 4:
                raise Failure("the API server ended the watch")
            event = fields(answer.read(int.from_bytes(size, "big")))
            yield event[1][0].decode(), unwrap(fields(event[2][0])[1][0])
