# SPDX-License-Identifier: Apache-2.0
"""OTLP log requests, encoded by hand from the field numbers of opentelemetry-proto v1: independent of our .proto."""
import struct


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(field, data):
    """A length-delimited field: text, bytes or a message."""
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def any_value(value):
    if isinstance(value, bool):
        return number(2, int(value))
    if isinstance(value, int):
        return number(3, value)
    if isinstance(value, float):
        return varint(4 << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, str):
        return block(1, value)
    if isinstance(value, list):
        return block(5, b"".join(block(1, any_value(item)) for item in value))
    if isinstance(value, dict):
        return block(6, attributes(1, value))
    return block(7, value)


def attributes(field, values):
    return b"".join(block(field, block(1, key) + block(2, any_value(value))) for key, value in values.items())


def record(event, time_ns, values, body=None):
    out = fixed64(1, time_ns) + attributes(6, values) + fixed64(11, time_ns + 5)
    if body is not None:
        out += block(5, any_value(body))
    return out + block(12, event)


def scope_logs(records, scope=None):
    return block(1, block(1, "sonde") + attributes(3, scope or {})) + b"".join(block(2, item) for item in records)


def request(resource, *scopes):
    return block(1, block(1, attributes(1, resource)) + b"".join(block(2, scope) for scope in scopes))


def batch(stream, sequence, records, part=None, host="node-a"):
    """A request as the sensor makes it; stream None: another sender."""
    resource = {"service.name": "sonde", "host.name": host}
    if stream is None:
        return request(resource, scope_logs(records))
    resource["sonde.stream_id"] = stream
    scope = {"sonde.batch.sequence": sequence, "sonde.batch.records": len(records)}
    if part is not None:
        scope["sonde.batch.part"] = part
    return request(resource, scope_logs(records, scope))
