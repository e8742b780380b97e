# SPDX-License-Identifier: Apache-2.0
"""bpf(2) by hand: what is attached where, programs of other people, which objects are alive."""
import ctypes
import glob
import os
import re
import struct

TCX = {"ingress": 46, "egress": 47}
TC_HANDLE = "0x50de"
MAP_CREATE, MAP_LOOKUP, PROG_LOAD, OBJ_PIN, OBJ_GET = 0, 1, 5, 6, 7
PROG_QUERY, LINK_CREATE = 16, 28
NEXT_ID = {"prog": 11, "map": 12, "link": 31}
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, attributes):
    """ATTRIBUTES is a bytearray that the kernel may write into."""
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    result = _libc.syscall(321, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return result


def _attributes(layout, *values):
    return bytearray(struct.pack(layout, *values).ljust(128, b"\0"))


def _pointer(buffer):
    return ctypes.addressof(buffer)


def tcx_programs(namespace, interface):
    """The ids of the tcx programs of each direction, in the order in which they run."""
    out = {}
    with namespace:
        ifindex = namespace.ifindex(interface)
        for direction, attach_type in TCX.items():
            ids = (ctypes.c_uint32 * 64)()
            attributes = _attributes("=IIIIQI", ifindex, attach_type, 0, 0, _pointer(ids), 64)
            _bpf(PROG_QUERY, attributes)
            out[direction] = list(ids[:struct.unpack_from("=I", attributes, 24)[0]])
    return out


def tc_filters(namespace, interface):
    """The lines of `tc filter` of both directions, and whether there is a clsact qdisc."""
    clsact = "clsact" in namespace.tc("qdisc", "show", "dev", interface)
    out = {}
    for direction in TCX:
        out[direction] = namespace.tc("filter", "show", "dev", interface, direction).splitlines() if clsact else []
    return clsact, out


def our_filters(namespace, interface):
    """How many clsact filters have the sensor's handle."""
    return sum(TC_HANDLE in line for lines in tc_filters(namespace, interface)[1].values() for line in lines)


def both_hooks(namespace, interface):
    """The sensor's two hooks are there, of one kind or the other (nobody else's tcx programs are, it is assumed)."""
    return our_filters(namespace, interface) == 2 or all(tcx_programs(namespace, interface).values())


def object_ids(bpffs):
    """("map"|"prog"|"link", id) of all that is pinned below."""
    ids = set()
    for path in glob.glob(bpffs + "/*/*"):
        name = ctypes.create_string_buffer(path.encode())
        fd = _bpf(OBJ_GET, _attributes("=QII", _pointer(name), 0, 0))
        with open(f"/proc/self/fdinfo/{fd}") as file:
            ids.update((kind, int(number)) for kind, number in re.findall(r"(map|prog|link)_id:\s+(\d+)", file.read()))
        os.close(fd)
    return ids


def is_alive(item):
    """
    True: the object with this kind and id exists. Asked by enumeration: opening a program array while its last user
    leaves makes the kernel forget it, with a reference too many.
    """
    kind, number = item
    attributes = _attributes("=III", number - 1, 0, 0)
    try:
        _bpf(NEXT_ID[kind], attributes)
    except FileNotFoundError:
        return False
    return struct.unpack_from("=I", attributes, 4)[0] == number


def _insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, dst | src << 4, off, imm)


class Counter:
    """Somebody else's program: counts the packets it sees and returns VERDICT."""

    def __init__(self, verdict=-1):
        self.links = []
        self.map = _bpf(MAP_CREATE, _attributes("=IIII", 2, 4, 8, 1))
        program = b"".join([
            _insn(0x62, 10, off=-4, imm=0),             # key 0 on the stack
            _insn(0xbf, 2, 10), _insn(0x07, 2, imm=-4),
            _insn(0x18, 1, 1, imm=self.map), _insn(0),  # the map
            _insn(0x85, imm=1),                         # bpf_map_lookup_elem
            _insn(0x15, 0, off=2),
            _insn(0xb7, 1, imm=1), _insn(0xdb, 0, 1),   # *value += 1, atomically
            _insn(0xb7, 0, imm=verdict), _insn(0x95),
        ])
        self._program = ctypes.create_string_buffer(program, len(program))
        licence = ctypes.create_string_buffer(b"GPL")
        self.program = _bpf(PROG_LOAD, _attributes("=IIQQ", 3, len(program) // 8, _pointer(self._program),
                                                   _pointer(licence)))
        with open(f"/proc/self/fdinfo/{self.program}") as file:
            self.id = int(re.search(r"prog_id:\s+(\d+)", file.read()).group(1))

    def attach_tcx(self, namespace, interface, direction):
        with namespace:
            attributes = _attributes("=IIII", self.program, namespace.ifindex(interface), TCX[direction], 0)
            self.links.append(_bpf(LINK_CREATE, attributes))

    def attach_clsact(self, namespace, interface, direction, priority, pin):
        """Through a pin, as tc takes it; the pin is needed for that moment only."""
        name = ctypes.create_string_buffer(pin.encode())
        _bpf(OBJ_PIN, _attributes("=QII", _pointer(name), self.program, 0))
        try:
            namespace.tc("filter", "add", "dev", interface, direction, "pref", str(priority), "handle", "1",
                         "bpf", "da", "object-pinned", pin)
        finally:
            os.unlink(pin)

    def count(self):
        key, value = ctypes.c_uint32(0), ctypes.c_uint64(0)
        _bpf(MAP_LOOKUP, _attributes("=IIQQQ", self.map, 0, _pointer(key), _pointer(value), 0))
        return value.value

    def close(self):
        for fd in [*self.links, self.program, self.map]:
            os.close(fd)
