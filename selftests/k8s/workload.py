# SPDX-License-Identifier: Apache-2.0
"""What runs on the node: pods that talk to each other, each kind under the label "app", and which port is whose."""
from node import OUTSIDE_ADDRESS

SHOP, BATCH = "shop", "batch"  # Kubernetes namespaces
WEB, PAIR = "10.96.0.80", "10.96.0.81"  # services, both at port 80
AGENT_PORT, PROBE_PORT, OUTSIDE_PORT = 7001, 7002, 9000
JOB_PODS = 50

# Source ports that containers take on purpose, where a pod has several or its address is the node's: see talk.c.
FIRST, SECOND, THIRD = 20000, 24000, 27000

# Whose a port is. A container that is not here is the only one of its pod.
PORTS = {
    "agent": {"agent": (range(AGENT_PORT, AGENT_PORT + 1), range(FIRST, FIRST + 3000))},
    "probe": {"probe": (range(PROBE_PORT, PROBE_PORT + 1), range(SECOND, SECOND + 3000))},
    "pair": {"app": (range(8081, 8082), range(FIRST, FIRST + 3000)),
             "sidecar": (range(SECOND, SECOND + 3000), range(THIRD, THIRD + 3000))},
    "staged": {"prepare": (range(FIRST, FIRST + 3000),), "main": (range(SECOND, SECOND + 3000),)},
}
HOST_NETWORK = ("agent", "probe")
SHORT_LIVED = ("job", "churn", "reuse")


def ask(host, port, count, interval, first=0, rounds=1):
    return f"talk ask {host} {port} {count} {interval} {first} {rounds}"


def container(name, *commands):
    """One process for a command; with several, a shell and its children."""
    command = ["/bin/sh", "-c", " & ".join(commands[:-1]) + " & exec " + commands[-1]] if len(commands) > 1 else \
        commands[0].split()
    return {"name": name, "image": "localhost/talk:1", "imagePullPolicy": "Never", "command": command}


def spec(*containers, **more):
    return {"containers": list(containers), "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
            "enableServiceLinks": False, "dnsPolicy": "Default", **more}


def pod(namespace, name, app, *containers, **more):
    return f"/api/v1/namespaces/{namespace}/pods", {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}},
        "spec": spec(*containers, **more)}


def controller(kind, name, *containers, replicas=None, **more):
    """A Deployment or a DaemonSet."""
    labels = {"app": name}
    return f"/apis/apps/v1/namespaces/{SHOP}/{kind.lower()}s", {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, **({"replicas": replicas} if replicas else {}),
                 "template": {"metadata": {"labels": labels}, "spec": spec(*containers, **more)}}}


def namespace(name):
    return "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(name, address, target):
    ports = [{"name": protocol.lower(), "protocol": protocol, "port": 80, "targetPort": target}
             for protocol in ("TCP", "UDP")]
    return f"/api/v1/namespaces/{SHOP}/services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "clusterIP": address, "ports": ports}}


def early():
    """What is there before the sensor: a service, and a client that keeps its connections."""
    return [
        service("web", WEB, 8080), service("pair", PAIR, 8081),
        controller("Deployment", "web", container("web", "talk serve 8080"), replicas=3),
        controller("Deployment", "early", container("early", ask(WEB, 80, 0, 300, rounds=100000))),
    ]


def steady(host):
    """What stays, once the sensor watches. HOST: the node's address."""
    return [
        controller("Deployment", "client", container("client", ask(WEB, 80, 0, 100)), replicas=2),
        controller("DaemonSet", "agent", container("agent", f"talk serve {AGENT_PORT}", ask(WEB, 80, 0, 150, FIRST)),
                   hostNetwork=True),
        controller("DaemonSet", "probe",
                   container("probe", f"talk serve {PROBE_PORT}", ask(OUTSIDE_ADDRESS, OUTSIDE_PORT, 0, 150, SECOND)),
                   hostNetwork=True),
        controller("Deployment", "caller",
                   container("caller", ask(host, AGENT_PORT, 0, 150), ask(host, PROBE_PORT, 0, 150),
                             ask(PAIR, 80, 0, 150), ask(OUTSIDE_ADDRESS, OUTSIDE_PORT, 0, 150))),
        pod(SHOP, "pair", "pair", container("app", "talk serve 8081", ask(WEB, 80, 0, 150, FIRST)),
            container("sidecar", ask("127.0.0.1", 8081, 0, 100, SECOND), ask(WEB, 80, 0, 150, THIRD))),
        pod(SHOP, "staged", "staged", container("main", ask(WEB, 80, 0, 150, SECOND)),
            initContainers=[container("prepare", ask(WEB, 80, 10, 100, FIRST))]),
        pod(SHOP, "restart", "restart", container("restart", ask(WEB, 80, 20, 100))),
    ]


def job():
    return f"/apis/batch/v1/namespaces/{BATCH}/jobs", {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"completions": JOB_PODS, "parallelism": 10, "backoffLimit": 0,
                 "template": {"metadata": {"labels": {"app": "job"}},
                              "spec": spec(container("job", ask(WEB, 80, 1, 0)), restartPolicy="Never")}}}


def churn(n):
    return pod(BATCH, f"churn-{n}", "churn", container("churn", "talk serve 8080", ask(WEB, 80, 0, 100)))


def reuse(n):
    return pod(SHOP, f"reuse-{n}", "reuse", container("reuse", "talk serve 8080", ask(WEB, 80, 0, 100)))


def reuse_caller(address):
    return pod(SHOP, "reuse-caller", "reuse-caller", container("reuse-caller", ask(address, 8080, 0, 50)))
