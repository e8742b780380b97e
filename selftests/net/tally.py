# SPDX-License-Identifier: Apache-2.0
"""
Totals from wherever they are told, in one shape: {(protocol, source, port, destination, port): [packets, bytes]}, each
direction of a flow on its own, those without a packet left out; and the equations of the books, computed anew.
"""
import ipaddress
import json

from netns import run
from process import Failure

PORTS = (6, 17, 132)  # protocols whose ports are ports


class Tally(dict):
    def add(self, key, packets, size):
        if packets or size:
            entry = self.setdefault(key, [0, 0])
            entry[0] += packets
            entry[1] += size

    def packets(self):
        return sum(entry[0] for entry in self.values())

    def bytes(self):
        return sum(entry[1] for entry in self.values())

    def require(self, expected, what):
        """Equal to EXPECTED in each direction of each flow, and nothing beside."""
        if self == expected:
            return
        lines = [f"{key}: {self.get(key, 'nothing')}, expected {expected.get(key, 'nothing')}"
                 for key in sorted({*self, *expected}, key=str) if self.get(key) != expected.get(key)]
        raise Failure(f"{what}: {len(lines)} totals are wrong:\n  " + "\n  ".join(lines[:10]))


def of_frames(frames):
    tally = Tally()
    for frame in frames:
        if frame.verdict == "observed":
            tally.add(frame.key, 1, frame.bytes)
    return tally


def _ends(record):
    return (record["source.address"], record.get("source.port", 0)), (record["destination.address"],
                                                                     record.get("destination.port", 0))


def of_records(records, prefix=""):
    """The sum of flow records' deltas; PREFIX "sonde.flow.": of the cumulative totals (take the last of each flow)."""
    tally = Tally()
    for record in records:
        protocol = int(record["network.iana_number"])
        source, destination = _ends(record)
        tally.add((protocol, *source, *destination), record[prefix + "source.packets"], record[prefix + "source.bytes"])
        tally.add((protocol, *destination, *source), record[prefix + "destination.packets"],
                  record[prefix + "destination.bytes"])
    return tally


def of_transport(records):
    """TCP and UDP only: an IPv6 host speaks ICMPv6 unasked, of its neighbours and multicast groups."""
    return Tally({key: entry for key, entry in of_records(records).items() if key[0] in (6, 17)})


def of_last_cumulative(records):
    """The totals that each flow's last record states: right even where records before it were lost."""
    last = {}
    for record in records:
        key = record.get("sonde.flow.id"), record.get("sonde.flow.generation")
        packets = record["sonde.flow.source.packets"] + record["sonde.flow.destination.packets"]
        if key not in last or packets >= last[key][0]:
            last[key] = packets, record
    return of_records([record for _, record in last.values()], "sonde.flow.")


def dump(bpffs, name):
    return json.loads(run("bpftool", "-j", "map", "dump", "pinned", f"{bpffs}/current/{name}"))


def of_map(bpffs):
    """What a person sees with bpftool: the table, and what the slots have not folded into it yet."""
    tally = Tally()
    slots = {}
    for entry in dump(bpffs, "slots"):
        slot = entry["formatted"]["value"]
        slots.setdefault((slot["id"], slot["generation"]), []).append(slot)
    for entry in dump(bpffs, "flows"):
        key, value = entry["formatted"]["key"], entry["formatted"]["value"]
        protocol, ends = key["protocol"], []
        for address, port in zip(key["addr"], key["port"]):
            address = ipaddress.IPv6Address(bytes(int(byte) for byte in address))
            address = address.ipv4_mapped if key["ip_version"] == 4 else address
            ends.append((str(address), (port & 0xff) << 8 | port >> 8 if protocol in PORTS else 0))
        for sender, end in enumerate(value["end"]):
            parts = [(slot["packets"][sender], slot["bytes"][sender])
                     for slot in slots.get((value["id"], value["generation"]), [])]
            packets, octets = (sum(numbers) for numbers in zip((end["packets"], end["bytes"]), *parts))
            tally.add((protocol, *ends[sender], *ends[1 - sender]), packets, octets)
    return tally


def hooks(status):
    """All hook accounts of a status: (name, direction, account)."""
    for entry in [*status["interfaces"], {**status["departed"], "name": "(departed)"}]:
        for direction in "ingress", "egress":
            yield entry["name"], direction, entry[direction]


def observed(status):
    """Packets and bytes observed at all hooks."""
    accounts = [account for _, _, account in hooks(status)]
    return sum(a["observed"] for a in accounts), sum(a["bytes_observed"] for a in accounts)


def seen(status, name=None):
    return sum(account["seen"] for entry, _, account in hooks(status) if name in (None, entry))


def skipped(status, reason):
    return sum(account["skipped"].get(reason, 0) for _, _, account in hooks(status))


def in_ring(account):
    """How many records of a kind were produced and neither received nor lost yet."""
    return account["produced"] - account["received"] - sum(account["lost"].values())


def check_books(status, quiet=True):
    """The equations of the books hold; QUIET: there is no traffic, so they are exact, but for others' sockets."""
    books = status["books"]
    if not books["balanced"] or books["difference"]:
        raise Failure(f"the books do not balance: {books}")
    for name, direction, account in hooks(status):
        accounted = account["observed"] + sum(account["skipped"].values())
        if quiet and account["seen"] != accounted:
            raise Failure(f"{name} {direction}: seen {account['seen']}, but observed and skipped are {accounted}")
    for kind, account in status["records"].items():
        settled = account["acked"] + account["queued"] + account["spooled"] + sum(account["dropped"].values())
        if account["received"] != settled:
            raise Failure(f"{kind} records: received {account['received']}, settled {settled}: {account}")
    waiting = sum(in_ring(account) for account in status["records"].values())
    if quiet and not status["records"]["socket"]["produced"] and waiting != status["ring"]["records"]:
        raise Failure(f"{waiting} records are neither received nor lost, {status['ring']['records']} are in the ring")
