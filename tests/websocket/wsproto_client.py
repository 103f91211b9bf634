"""Talks to a WebSocket server that gives back what it gets, by wsproto: `wsproto_client.py HOST PORT [CA]`."""

import socket
import ssl
import sys

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)


class Client:
    def __init__(self, host, port, ca=None):
        self.stream = socket.create_connection((host, int(port)), timeout=20)
        if ca:
            self.stream = ssl.create_default_context(cafile=ca).wrap_socket(self.stream, server_hostname=host)
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.pending = iter(())

    def send(self, event):
        self.stream.sendall(self.protocol.send(event))

    def next(self):
        while True:
            for event in self.pending:
                return event
            self.protocol.receive_data(self.stream.recv(65536) or None)
            self.pending = iter(list(self.protocol.events()))


def main(host, port, ca=None):
    client = Client(host, port, ca)
    client.send(Request(host=f"{host}:{port}", target="/chat", subprotocols=["chat"]))
    accepted = client.next()
    assert isinstance(accepted, AcceptConnection) and accepted.subprotocol == "chat", accepted
    # In pieces of its own, with something between them.
    whole = bytes(range(256)) * 2000
    for at in range(0, len(whole), 64_000):
        client.send(BytesMessage(data=whole[at : at + 64_000], message_finished=at + 64_000 >= len(whole)))
        client.send(Ping(payload=str(at).encode()))
    # The message comes back when it is whole, which may be before the last pong.
    pongs, pieces, is_finished = [], [], False
    while not is_finished or len(pongs) < len(range(0, len(whole), 64_000)):
        event = client.next()
        if isinstance(event, Pong):
            pongs.append(int(event.payload))
        else:
            pieces.append(event.data)
            is_finished = event.message_finished
    assert pongs == list(range(0, len(whole), 64_000)), pongs
    assert b"".join(pieces) == whole, (len(pieces), sum(map(len, pieces)))
    client.send(TextMessage(data="bye"))
    closed = client.next()
    assert isinstance(closed, CloseConnection), closed
    client.send(closed.response())
    print(closed.code, closed.reason)


main(*sys.argv[1:])
