"""A client of HTTP/3 on aioquic: client.py PORT CA_FILE SCENARIO. What it sees goes out as lines of JSON."""

import asyncio
import hashlib
import json
import socket
import ssl
import sys

import pylsqpack
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamDataReceived, StreamReset

PORT, CA_FILE, SCENARIO = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def say(**what):
    print(json.dumps(what), flush=True)


async def begins(client, stream, wanted):
    """Waits until an answer has begun so."""
    answer = client.answers[stream]
    while not answer.body.startswith(wanted):
        answer.changed.clear()
        await asyncio.wait_for(answer.changed.wait(), 20)


async def told():
    """Waits for a line of whoever has started this."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


class Answer:
    def __init__(self):
        self.head, self.body, self.trailers, self.code = None, b"", None, None
        # What comes is gathered as it is.
        self.is_raw = False
        self.ended, self.changed = asyncio.Event(), asyncio.Event()

    def told(self):
        head = self.head or {}
        return {
            "status": head.get(":status"),
            "headers": head,
            "bytes": len(self.body),
            "sha256": hashlib.sha256(self.body).hexdigest(),
            "trailers": self.trailers,
            "code": self.code,
        }


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.answers, self.terminated, self.goaways = {}, asyncio.Event(), []
        self.termination = None

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.termination = event.error_code
            self.terminated.set()
            for answer in self.answers.values():
                answer.ended.set()
        if isinstance(event, (StreamReset, StopSendingReceived)) and event.stream_id in self.answers:
            answer = self.answers[event.stream_id]
            if isinstance(event, StreamReset):
                answer.code = event.error_code
                answer.ended.set()
            return
        if isinstance(event, StreamDataReceived) and event.stream_id in self.answers:
            answer = self.answers[event.stream_id]
            if answer.is_raw:
                answer.body += event.data
                if event.end_stream:
                    answer.ended.set()
                return
        for happened in self.http.handle_event(event):
            answer = self.answers.get(happened.stream_id)
            if answer is None:
                continue
            if isinstance(happened, HeadersReceived):
                fields = {name.decode(): value.decode() for name, value in happened.headers}
                if answer.head is None:
                    answer.head = fields
                else:
                    answer.trailers = fields
            elif isinstance(happened, DataReceived):
                answer.body += happened.data
            answer.changed.set()
            if getattr(happened, "stream_ended", False):
                answer.ended.set()

    def head(self, method, path, *fields, **pseudo):
        fields = [(name.encode(), value.encode()) for name, value in fields]
        return [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", path.encode()),
            *((b":" + name.encode(), value.encode()) for name, value in pseudo.items()),
            *fields,
        ]

    def begin(self, head, ends=True):
        stream = self._quic.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.http.send_headers(stream, head, end_stream=ends)
        self.transmit()
        return stream

    def send(self, stream, data, ends=False):
        self.http.send_data(stream, data, end_stream=ends)
        self.transmit()

    async def answer(self, stream):
        await asyncio.wait_for(self.answers[stream].ended.wait(), 20)
        return self.answers[stream].told()

    async def ask(self, method, path, *fields, body=b""):
        stream = self.begin(self.head(method, path, *fields), ends=not body)
        if body:
            self.send(stream, body, ends=True)
        return await self.answer(stream)


def connected(server_name="localhost", **more):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["h3"], server_name=server_name, max_datagram_size=1200, **more
    )
    configuration.load_verify_locations(CA_FILE)
    if len(sys.argv) > 4:
        configuration.load_cert_chain(*sys.argv[4:])
    return connect("127.0.0.1", PORT, configuration=configuration, create_protocol=Client)


async def grpc():
    """A call to an endpoint that is not there."""
    async with connected() as client:
        fields = ("content-type", "application/grpc"), ("te", "trailers")
        say(**await client.ask("POST", "/a.B/C", *fields, body=b"\0\0\0\0\0"))


async def slow_head():
    """Begins a head and leaves it at that, beside a request that is whole."""
    async with connected() as client:
        stream = client._quic.get_next_available_stream_id()
        client.answers[stream] = Answer()
        client._quic.send_stream_data(stream, b"\x01\x20\x00")
        client.transmit()
        answer = await client.answer(stream)
        say(code=answer["code"], beside=(await client.ask("GET", "/beside"))["status"])


async def idle():
    """Asks once and waits for the end."""
    async with connected() as client:
        await client.ask("GET", "/")
        await asyncio.wait_for(client.terminated.wait(), 20)
        say(termination=client.termination)


async def second():
    """Two connections at a time."""
    async with connected() as client:
        try:
            async with connected():
                say(second="accepted")
        except ConnectionError:
            say(second="refused")
        say(first=(await client.ask("GET", "/"))["status"])


async def stalled():
    """Reads the beginning of an answer, and makes no room for more."""
    async with connected(max_stream_data=2000) as client:
        client._quic._write_stream_limits = lambda *_, **__: None
        stream = client.begin(client.head("GET", "/large"))
        answer = await client.answer(stream)
        say(bytes=answer["bytes"], code=answer["code"], beside=(await client.ask("GET", "/beside"))["status"])


async def certified():
    """Shows the certificate of further arguments, if there are any."""
    try:
        async with connected() as client:
            answer = client.begin(client.head("GET", "/"))
            await client.answers[answer].ended.wait()
            say(termination=client.termination, headers=client.answers[answer].told()["headers"])
    except ConnectionError as error:
        say(error=str(error))


async def requests():
    """One after the other, then many at the same time."""
    async with connected() as client:
        say(**await client.ask("GET", "/small", ("te", "trailers")))
        say(**await client.ask("HEAD", "/small"))
        say(**await client.ask("POST", "/echo", body=bytes(range(256)) * 8192))
        streams = [client.begin(client.head("GET", f"/{number}")) for number in range(100)]
        answers = [await client.answer(stream) for stream in streams]
        say(statuses=[answer["status"] for answer in answers])


async def hint():
    """An answer in advance, which aioquic takes for the answer: frame by frame."""
    async with connected() as client:
        stream = client.begin(client.head("GET", "/hint"))
        answer = client.answers[stream]
        answer.is_raw = True
        await asyncio.wait_for(answer.ended.wait(), 20)
        frames, rest = [], answer.body
        while rest:
            kind, length = rest[0], rest[1]
            at = 2
            if length & 0x40:
                length, at = (length & 0x3F) << 8 | rest[2], 3
            frames.append((kind, rest[at : at + length]))
            rest = rest[at + length :]
        heads = [pylsqpack.Decoder(0, 0).feed_header(0, frame)[1] for kind, frame in frames if kind == 1]
        say(heads=[{name.decode(): value.decode() for name, value in head} for head in heads])


async def expects():
    """Waits for leave before it sends a body. aioquic takes that for the answer: what comes then is gathered as it is."""
    async with connected() as client:
        fields = ("content-length", "6"), ("expect", "100-continue")
        stream = client.begin(client.head("POST", "/", *fields), ends=False)
        answer = client.answers[stream]
        while answer.head is None:
            answer.changed.clear()
            await asyncio.wait_for(answer.changed.wait(), 20)
        answer.is_raw = True
        client.send(stream, b"a body", ends=True)
        await asyncio.wait_for(answer.ended.wait(), 20)
        say(leave=answer.head[":status"], came_back=b"a body" in answer.body)


async def moving():
    """Begins an upload, and goes on with it from another port and another address."""
    async with connected() as client:
        stream = client.begin(client.head("POST", "/echo"), ends=False)
        for address in ["::ffff:127.0.0.1", "::ffff:127.0.0.2", "::ffff:127.0.0.3"]:
            client.send(stream, address.encode())
            await client.ask("GET", "/between")
            await move(client, address)
        client.send(stream, b"end", ends=True)
        say(**await client.answer(stream))
        say(**await client.ask("GET", "/after"))


async def move(client, address):
    """Goes on from another port of an address."""
    other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    other.bind((address, 0, 0, 0))
    loop = asyncio.get_running_loop()
    client._transport, _ = await loop.create_datagram_endpoint(lambda: Redirected(client), sock=other)


async def moving_late():
    """Begins an upload, moves when told, and ends it from another address."""
    async with connected() as client:
        stream = client.begin(client.head("POST", "/echo"), ends=False)
        client.send(stream, b"first ")
        say(**await client.ask("GET", "/meanwhile"))
        await told()
        for address in ["::ffff:127.0.0.1", "::ffff:127.0.0.2"]:
            await move(client, address)
            # As those do that move on purpose (RFC 9000 section 9.5).
            client._quic.change_connection_id()
            client.send(stream, b"moved ")
            answer = client.answers[stream]
            while not answer.body.endswith(b"moved " * 2 if address.endswith("2") else b"moved "):
                answer.changed.clear()
                await asyncio.wait_for(answer.changed.wait(), 20)
        client.send(stream, b"end", ends=True)
        say(**await client.answer(stream))
        await asyncio.wait_for(client.terminated.wait(), 20)
        say(termination=client.termination)


class Redirected(asyncio.DatagramProtocol):
    def __init__(self, client):
        self.client = client

    def datagram_received(self, data, address):
        self.client.datagram_received(data, address)


async def waiting():
    """Begins an upload, ends it when told, and asks once more."""
    async with connected() as client:
        stream = client.begin(client.head("POST", "/echo"), ends=False)
        client.send(stream, b"first ")
        say(**await client.ask("GET", "/meanwhile"))
        await told()
        client.send(stream, b"second", ends=True)
        say(**await client.answer(stream))
        try:
            say(**await client.ask("GET", "/after"))
        except (AssertionError, ConnectionError, asyncio.TimeoutError):
            pass
        await asyncio.wait_for(client.terminated.wait(), 20)
        say(termination=client.termination)


async def steady():
    """A WebSocket and downloads on one connection, until told that it is enough."""
    async with connected() as client:
        head = client.head("CONNECT", "/chat", ("sec-websocket-version", "13"), protocol="websocket")
        stream = client.begin(head, ends=False)
        await begins(client, stream, b"begun")
        enough = asyncio.ensure_future(told())
        say(begun=True)
        downloads, said = 0, b"begun"
        while not enough.done():
            client.send(stream, b"echo")
            said += b"echo"
            download = client.begin(client.head("GET", "/large"))
            answer = await client.answer(download)
            assert (answer["status"], answer["bytes"], answer["code"]) == ("200", 50_000, None), answer
            # It would be kept to the end.
            del client.answers[download]
            downloads += 1
            await begins(client, stream, said)
        say(downloads=downloads, echoes=(len(said) - 5) // 4, termination=client.termination)


async def deregistered():
    """A WebSocket and an answer, both without an end of their own, and whether the connection is there for others after it."""
    async with connected() as client:
        head = client.head("CONNECT", "/chat", ("sec-websocket-version", "13"), protocol="websocket")
        streams = [client.begin(head, ends=False), client.begin(client.head("GET", "/never"))]
        for stream in streams:
            await begins(client, stream, b"begun")
        say(begun=True)
        codes = [(await client.answer(stream))["code"] for stream in streams]
        say(codes=codes, beside=(await client.ask("GET", "/beside"))["status"])


async def websocket():
    """An extended CONNECT (RFC 9220); what is sent comes back."""
    async with connected() as client:
        head = client.head("CONNECT", "/chat", ("sec-websocket-version", "13"), protocol="websocket")
        # Pseudo-fields of their own order.
        stream = client.begin(head, ends=False)
        answer = client.answers[stream]
        while b"hello there" not in answer.body:
            if answer.head and not answer.body.startswith(b"hello there"):
                if not getattr(client, "sent", False):
                    client.send(stream, b"there")
                    client.sent = True
            answer.changed.clear()
            await asyncio.wait_for(answer.changed.wait(), 20)
        client.send(stream, b"", ends=True)
        said = await client.answer(stream)
        say(status=said["status"], headers=said["headers"], body=answer.body.decode())


def section(*fields):
    """Literals with literal names."""
    coded = b"\x00\x00"
    for name, value in fields:
        length = bytes([0x20 | len(name)]) if len(name) < 7 else bytes([0x27, len(name) - 7])
        coded += length + name + (bytes([len(value)]) if len(value) < 127 else b"\x7f" + varint7(len(value) - 127)) + value
    return coded


def varint7(number):
    coded = b""
    while number >= 128:
        coded += bytes([number % 128 + 128])
        number //= 128
    return coded + bytes([number])


def frame(kind, payload):
    length = len(payload)
    coded = bytes([length]) if length < 64 else (0x80000000 | length).to_bytes(4, "big")
    return bytes([kind]) + coded + payload


GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
BROKEN = {
    "no path": frame(1, section(*GET[:3])),
    "upper case": frame(1, section(*GET, (b"X-Own", b"1"))),
    "connection": frame(1, section(*GET, (b"connection", b"close"))),
    "late pseudo-field": frame(1, section(*GET[:3], (b"x", b"1"), GET[3])),
    "too short": frame(1, section(*POST, (b"content-length", b"5"))) + frame(0, b"four"),
    "too long": frame(1, section(*POST, (b"content-length", b"3"))) + frame(0, b"four"),
    "no head": b"",
    "too large": frame(1, section(*GET, *((b"x", b"y" * 1000) for _ in range(80)))),
    "bomb": frame(1, section(*GET) + b"\xe6" * 10_000),
    "data first": frame(0, b"x"),
    "settings": frame(1, section(*GET)) + frame(4, b""),
    "of HTTP/2": frame(2, b""),
    "cut short": b"\x01\x20" + section(*GET)[:8],
    "dynamic table": frame(1, b"\x02\x00\x80"),
}


async def broken():
    """What is malformed, each beside a request that is none of its business; then what ends the connection."""
    for name, sent in BROKEN.items():
        async with connected() as client:
            good = client.begin(client.head("GET", "/good"))
            await client.answer(good)
            stream = client._quic.get_next_available_stream_id()
            client.answers[stream] = Answer()
            client._quic.send_stream_data(stream, sent, end_stream=True)
            client.transmit()
            answer = await client.answer(stream)
            beside = None
            if client.termination is None:
                beside = (await client.ask("GET", "/beside"))["status"]
            say(name=name, status=answer["status"], code=answer["code"], termination=client.termination, beside=beside)


async def streams():
    """What a client must not do on streams of its own."""
    for name, sent in {
        "second control stream": b"\x00\x04\x00",
        "push": b"\x01\x00",
        "table": b"\x02\x3f\xe1\x1f",
        "unknown": b"\x40\x99hello",
    }.items():
        async with connected() as client:
            await client.ask("GET", "/")
            if name == "table":
                stream = client.http._local_encoder_stream_id
                sent = sent[1:]
            else:
                stream = client._quic.get_next_available_stream_id(is_unidirectional=True)
            client._quic.send_stream_data(stream, sent)
            client.transmit()
            if name == "unknown":
                await client.ask("GET", "/")
            else:
                await asyncio.wait_for(client.terminated.wait(), 20)
            say(name=name, termination=client.termination)


async def elsewhere():
    """Asks for a name whose TLS is passed through."""
    async with connected("other.test") as client:
        await asyncio.wait_for(client.terminated.wait(), 20)
        say(termination=client.termination)


async def again_and_again(ask):
    """Asks on one stream after the other until the connection ends; says how often, and how it ended."""
    async with connected() as client:
        begun = 0
        while client.termination is None and begun < 50_000:
            for _ in range(50):
                stream = client._quic.get_next_available_stream_id()
                if stream // 4 >= client._quic._remote_max_streams_bidi:
                    # aioquic would give up before it has asked, which nobody hears.
                    break
                ask(client, stream)
                begun += 1
            client.transmit()
            await asyncio.sleep(0.02)
        say(begun=begun, termination=client.termination)


async def giving_up():
    """Asks and does not wait for the answer, again and again."""

    def ask(client, stream):
        client.http.send_headers(stream, client.head("GET", "/"), end_stream=True)
        client._quic.stop_stream(stream, 0x10C)

    await again_and_again(ask)


async def breaking():
    """Asks for what is malformed, again and again."""

    def ask(client, stream):
        client.answers[stream] = Answer()
        client._quic.send_stream_data(stream, BROKEN["no path"], end_stream=True)

    await again_and_again(ask)


async def burst():
    """First datagrams of forty connections at the same moment; then a client that goes on."""
    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    first = []
    for _ in range(40):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
        connection = QuicConnection(configuration=configuration)
        connection.connect(("127.0.0.1", PORT), now=0)
        first.extend(data for data, _ in connection.datagrams_to_send(now=0))
    for data in first:
        sending.sendto(data, ("127.0.0.1", PORT))
    async with connected() as client:
        say(**await client.ask("GET", "/"))


async def flood():
    """First datagrams of a thousand connections that go no further; then a client that does."""
    flooding = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flooding.setblocking(False)
    retries = others = 0

    def receive():
        nonlocal retries, others
        while True:
            try:
                data = flooding.recv(2048)
            except BlockingIOError:
                return
            # RFC 9000 section 17.2: a long header, and of which type.
            if data[0] & 0xB0 == 0xB0:
                retries += 1
            else:
                others += 1

    for _ in range(1000):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
        connection = QuicConnection(configuration=configuration)
        connection.connect(("127.0.0.1", PORT), now=0)
        for data, _ in connection.datagrams_to_send(now=0):
            flooding.sendto(data, ("127.0.0.1", PORT))
        receive()
    async with connected() as client:
        answer = await client.ask("GET", "/")
    receive()
    say(retries=retries, others=others)
    say(**answer)


asyncio.run(globals()[SCENARIO]())
