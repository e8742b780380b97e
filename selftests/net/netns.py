# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of a test's own: veth pairs, sockets and processes in them."""
import ctypes
import http.client
import json
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*command, **options):
    """Output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Namespace:
    """`with namespace:` puts the calling thread inside: sockets made there stay there, /proc/sys is its own."""

    def __init__(self, name):
        self.name, self.path, self._outside = name, "/run/netns/" + name, []
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        # Neither router solicitations nor multicast reports: what a test did not send, nobody sends.
        self.sysctl("ipv6/conf/default/disable_ipv6", 1)
        self.sysctl("ipv6/conf/default/accept_dad", 0)
        self.sysctl("ipv6/conf/default/router_solicitations", 0)

    def delete(self):
        """Once: a test may have done so before its end."""
        if os.path.exists(self.path):
            run("ip", "netns", "del", self.name)

    def __enter__(self):
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        inside = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(inside)
        finally:
            os.close(inside)
        self._outside.append(outside)
        return self

    def __exit__(self, *error):
        outside = self._outside.pop()
        _setns(outside)
        os.close(outside)

    def command(self, *command):
        """Not `ip netns exec`, which mounts another /sys: without bpffs and cgroups."""
        return ["nsenter", "--net=" + self.path, *command]

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def tc(self, *args):
        return run(*self.command("tc", *args))

    def sysctl(self, key, value):
        with self, open("/proc/sys/net/" + key, "w") as file:
            file.write(str(value))

    def ifindex(self, interface):
        with self:
            return socket.if_nametoindex(interface)

    def link(self, interface):
        """`ip -s link` of it, as JSON gives it."""
        return json.loads(self.ip("-s", "-d", "-j", "link", "show", "dev", interface))[0]

    def rx_dropped(self, interface):
        """Packets that were dropped before any hook of the receiver."""
        return self.link(interface)["stats64"]["rx"]["dropped"]

    def address(self, interface, address):
        if ":" in address:
            self.sysctl(f"ipv6/conf/{interface}/disable_ipv6", 0)
            self.ip("addr", "add", address, "dev", interface, "nodad")
        else:
            self.ip("addr", "add", address, "dev", interface)

    def neighbour(self, interface, address, other, other_interface):
        """A packet to the address leaves for the other's interface without a question before."""
        self.ip("neigh", "replace", address, "lladdr", other.link(other_interface)["address"], "dev", interface,
                "nud", "permanent")

    def raw(self, interface):
        """An AF_PACKET socket that sends whole frames."""
        with self:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((interface, 0))
        return sock

    def socket(self, *args):
        with self:
            return socket.socket(*args)

    def get(self, port, path):
        """Status and text of an HTTP answer from 127.0.0.1 inside."""
        with self:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()


class Tap:
    """Counts the frames that come in on an interface: each one is at the tc hook right after it was here."""

    def __init__(self, namespace, interface):
        with namespace:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)
        self.frames = 0

    def count(self):
        try:
            while True:
                _, address = self.socket.recvfrom(64)
                self.frames += address[2] != socket.PACKET_OUTGOING
        except OSError:  # none more, or the interface is down
            return self.frames

    def close(self):
        self.socket.close()


def veth(a, a_name, b, b_name):
    """A pair between two namespaces, up at both ends, without addresses."""
    a.ip("link", "add", a_name, "type", "veth", "peer", "name", b_name, "netns", b.name)
    a.ip("link", "set", a_name, "up")
    b.ip("link", "set", b_name, "up")
