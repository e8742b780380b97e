# SPDX-License-Identifier: Apache-2.0
"""Bulk transfers over TCP, and what the kernel itself counts of them."""
import socket
import struct
import threading

from process import DEADLINE, Failure, wait_until

TCP_INFO, TCP_CLOSE = 11, 7


class TcpInfo:
    """Of struct tcp_info, which counts segments, not super-packets."""

    def __init__(self, sock):
        info = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
        self.retransmitted, = struct.unpack_from("=I", info, 100)
        self.segments_out, self.segments_in = struct.unpack_from("=II", info, 136)
        self.bytes_sent, = struct.unpack_from("=Q", info, 200)


def receive(sock, size):
    while size > 0:
        data = sock.recv(1 << 18)
        if not data:
            raise Failure("the connection ended too early")
        size -= len(data)


def transfer(client, server, sends, receives):
    """One connection with so many bytes each way. Both ends' TcpInfo when all is over: (client's, server's)."""
    infos = []

    def serve():
        connection, _ = server.accept()
        with connection:
            receive(connection, sends)
            connection.sendall(bytes(receives))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # the client's FIN
            infos.append(TcpInfo(connection))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client.sendall(bytes(sends))
    receive(client, receives)
    client.recv(1)
    client.shutdown(socket.SHUT_WR)
    # The server's last ACK is here when the socket is closed.
    wait_until(lambda: client.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 1)[0] == TCP_CLOSE, "the connection's end")
    thread.join(DEADLINE)
    return TcpInfo(client), infos[0]
