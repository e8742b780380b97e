# SPDX-License-Identifier: Apache-2.0
"""
What a test stands on. A test is a function with @test that gets a Stage: it makes namespaces, sink, sensor and senders
through it, and all that it made is gone when the test ends, however it ends.
"""
import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections import namedtuple

import kernel
import tally
from netns import Namespace, run, veth
from process import (DEADLINE, SANITIZER, TREE, Config, Failure, Pki, Process, Sensor, Sink, clean_environment,
                     wait_until)

BPFFS = "/sys/fs/bpf"
HOOKS = {"tcx": (), "clsact": ("--without", "tcx")}  # variants: options of the sensor


class Skip(Exception):
    """The test cannot run here; the text says why."""


def nft(namespace, rules):
    """Applies RULES; skips where the kernel has no nftables."""
    try:
        run(*namespace.command("nft", rules))
    except RuntimeError as error:
        raise Skip(f"nft: {error}") from None


Test = namedtuple("Test", "suite title function arguments quick long")
TESTS = []


def test(quick=False, long=False, variants=None):
    """Registers a test; its docstring is what it says. VARIANTS: {name: further arguments}, a test for each."""
    def register(function):
        for name, arguments in (variants or {"": ()}).items():
            suite = function.__module__.removeprefix("test_")
            title = function.__doc__.strip().splitlines()[0].rstrip(".") + (f" ({name})" if name else "")
            TESTS.append(Test(suite, title, function, arguments, quick, long))
        return function
    return register


class Run:
    """What all tests of a run share: programs, certificates, the compiled sender."""

    def __init__(self, build, seed):
        self.build, self.seed, self.n = os.path.abspath(build), seed, 0
        self.dir = tempfile.mkdtemp(prefix="sonde-net-")
        self.pki = Pki(self.dir)
        self._blast = None

    def binary(self, name):
        return os.path.join(self.build, name)

    def sanitized(self):
        """Built with the address sanitizer, whose quarantine grows: no test of memory then."""
        return "libasan" in run("ldd", self.binary("sonde"))

    def blast(self):
        if not self._blast:
            self._blast = os.path.join(self.dir, "blast")
            run("gcc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-o", self._blast,
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "blast.c"))
        return self._blast

    def close(self):
        shutil.rmtree(self.dir)


class Stage:
    def __init__(self, run_, title):
        run_.n += 1
        self.run, self.random = run_, random.Random(f"{run_.seed}/{title}")
        self.key = f"{os.getpid()}-{run_.n}"
        self.dir = os.path.join(run_.dir, str(run_.n))
        self.bpffs = f"{BPFFS}/sonde-test-{self.key}"
        self.control = os.path.join(self.dir, "control.sock")
        self.pki, self.processes, self.objects = run_.pki, [], set()
        self._stack, self._namespaces, self._config = contextlib.ExitStack(), {}, None
        os.mkdir(self.dir)

    def on_close(self, undo):
        """UNDO is called at the end of the test, the last one first."""
        self._stack.callback(undo)

    # Namespaces

    def namespace(self, name):
        """Of this test's own; made when it is first asked for."""
        if name not in self._namespaces:
            self._namespaces[name] = Namespace(f"sonde-{self.key}-{name}")
            self._stack.callback(self._namespaces[name].delete)
        return self._namespaces[name]

    @property
    def host(self):
        return self.namespace("host")

    @property
    def peer(self):
        return self.namespace("peer")

    def pair(self, n=0):
        """v<n> in "host", where the sensor is, and p<n> in "peer"."""
        veth(self.host, f"v{n}", self.peer, f"p{n}")

    def routed_pair(self):
        """v0 (10.9.0.1) and p0 (10.9.0.2): packets to 10.9.0.99 cross the veth, pass the hooks, and end unanswered."""
        self.pair()
        host, peer = (self.host, "v0"), (self.peer, "p0")
        for (namespace, name), other, n in (host, peer, 1), (peer, host, 2):
            namespace.address(name, f"10.9.0.{n}/24")
            namespace.neighbour(name, "10.9.0.99", *other)

    # Processes

    def process(self, name, namespace, command):
        return self._started(Process(name, namespace, command))

    def _started(self, process):
        self.processes.append(process)
        self._stack.callback(process.end)
        return process

    def sink(self, namespace=None, listen="127.0.0.1:4318"):
        """Started anew, it goes on in the same directory."""
        directory = os.path.join(self.dir, "sink")
        return self._started(Sink(self.run.binary("sonde-sink"), namespace or self.host, self.pki.dir, directory,
                                  listen)).wait_ready()

    def config(self, **values):
        """
        The sensor's, with its times short; remembered for the next start. Socket hooks see the whole machine, and
        records of others' connections disturb books, queue and memory: only tests about sockets or names follow them.
        """
        if not self._config:
            self.namespace("host")  # outlives the pins
            self._config = Config(os.path.join(self.dir, "sonde.yaml"), **{
                "flows__interval": "100ms", "flows__active_timeout": "100ms", "flows__idle_timeout": "60s",
                "flows__max": 65536, "batch__age": "50ms", "log__level": "debug", "bpffs": self.bpffs,
                "control": self.control, "node__pods_dir": os.path.join(self.dir, "pods"),
                "sockets__enabled": False,
                "backend__url": "https://127.0.0.1:4318", "backend__ca": self.pki.path("ca.crt"),
                "backend__cert": self.pki.path("client.crt"), "backend__key": self.pki.path("client.key"),
            })
            self._stack.callback(self._remove_pins)
        self._config.write(**values)
        return self._config

    def sensor(self, *args, hosts=None, through=(), **values):
        """Ready, in the namespace "host"."""
        config = self.config(**values)
        sensor = self._started(Sensor(self.run.binary("sonde"), self.host, config, *args,
                                      hosts=hosts, through=through)).wait_ready()
        self.note_objects()
        return sensor

    def sonde(self, *args, environment=None, config=True, through=()):
        """A command of the sensor's that ends: exit code, standard output, standard error."""
        command = [*through, self.run.binary("sonde"), *args, *(["-c", self.config().path] if config else [])]
        try:
            done = subprocess.run(self.host.command(*command), capture_output=True, text=True, check=False,
                                  env={**clean_environment(), **(environment or {})}, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"sonde {' '.join(args)} does not end") from None
        if done.returncode not in (0, 1, 2) or SANITIZER.search(done.stderr):
            raise Failure(f"sonde {' '.join(args)}: exit code {done.returncode}: {done.stderr}")
        return done.returncode, done.stdout, done.stderr

    # Traffic

    def send(self, namespace, interface, frames):
        with contextlib.closing(namespace.raw(interface)) as sock:
            for frame in frames:
                sock.send(frame.data)

    def blast(self, namespace, *args):
        """A fast sender as a process; see blast.c."""
        return self.process("blast", namespace, [self.run.blast(), *(str(arg) for arg in args)])

    def blasted(self, sender, stop=False):
        """Waits for a sender: how many packets it sent."""
        if stop:
            sender.stop()
        elif sender.wait():
            raise Failure("the sender failed: " + "; ".join(sender.lines))
        return int(sender.lines[-1])

    # What must hold

    def wait_flows(self, sink, expected):
        """The sink has flow records of these totals, and then nothing but them."""
        packets = expected.packets()
        wait_until(lambda: sink.packets() >= packets,
                   lambda: f"{packets} packets at the sink; there are {sink.packets()}")
        tally.of_records(sink.records()).require(expected, "flow records at the sink")

    def wait_transport(self, sink, expected):
        """Like wait_flows, where IPv6 hosts speak on their own: TCP and UDP are these, and nothing but them."""
        def told():
            return tally.of_transport(sink.records())
        wait_until(lambda: told().packets() >= expected.packets(),
                   lambda: f"{expected.packets()} packets of TCP and UDP; there are {told().packets()}")
        told().require(expected, "TCP and UDP at the sink")

    def settled(self, sensor):
        """A status with nothing on its way: all reported, all acknowledged. Of sockets, others' records never cease."""
        def look():
            status = sensor.status()
            waiting = status["flows"]["unreported_packets"] + sum(
                tally.in_ring(account) + account["queued"] for kind, account in status["records"].items()
                if kind != "socket")
            return status if not waiting else None
        status = wait_until(look, "everything to be acknowledged")
        tally.check_books(status)
        return status

    def note_objects(self):
        """Remembers what is loaded, for check_nothing_left."""
        self.objects |= kernel.object_ids(self.bpffs)

    def check_nothing_left(self, *interfaces):
        """No program, map, link, filter, qdisc, pin or socket of the sensor's, nowhere."""
        if not self.objects:
            raise Failure("no object of the sensor was ever there")
        for interface in interfaces:
            programs = kernel.tcx_programs(self.host, interface)
            if programs["ingress"] or programs["egress"]:
                raise Failure(f"tcx programs are left on {interface}: {programs}")
            clsact, filters = kernel.tc_filters(self.host, interface)
            if clsact:
                raise Failure(f"a clsact qdisc is left on {interface}, with {filters}")
        for path in self.bpffs, self.control:
            if os.path.lexists(path):
                raise Failure(f"{path} is left")
        # The kernel frees objects after a grace period.
        wait_until(lambda: not any(kernel.is_alive(item) for item in self.objects),
                   lambda: f"the end of {[item for item in self.objects if kernel.is_alive(item)]}", 10)

    # The end

    def _remove_pins(self):
        if not os.path.exists(self.bpffs):
            return
        self.sonde("detach")
        for directory, _, names in os.walk(self.bpffs, topdown=False):
            for name in names:
                os.unlink(os.path.join(directory, name))
        shutil.rmtree(self.bpffs, ignore_errors=True)

    def close(self):
        """Takes everything down; then complaints of sanitizers are a failure of the test."""
        self._stack.close()
        for process in self.processes:
            process.check_sanitizers()

    def logs(self, lines=12):
        """The end of each process' log, for a failure's report."""
        return [f"{process.name}[{process.pid}]: {line}"
                for process in self.processes for line in process.lines[-lines:]]
