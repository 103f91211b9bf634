"""A server of HTTP/3 on aioquic: server.py CERTIFICATE KEY [OPTION]. Prints its port; what it does is up to the path that is asked for.

Options: `one-at-a-time` allows one stream more than have ended; `no-connect` takes no extended CONNECT; `certified:CA_FILE` asks for
a certificate."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import FrameType, H3Connection, Setting, encode_frame
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, StreamReset, StopSendingReceived

CERTIFICATE, KEY = sys.argv[1:3]
OPTIONS = sys.argv[3:]
SEEN = {"connections": 0, "requests": 0, "resets": [], "stops": [], "most": 0, "ends": []}
LARGE = bytes(range(251)) * 12_000


class WithoutConnect(H3Connection):
    def _get_local_settings(self):
        settings = super()._get_local_settings()
        del settings[Setting.ENABLE_CONNECT_PROTOCOL]
        return settings


class Server(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        if "one-at-a-time" in OPTIONS:
            self._quic._local_max_streams_bidi.value = self._quic._local_max_streams_bidi.sent = 1
        self.http, self.requests, self.under_way = None, {}, 0
        SEEN["connections"] += 1
        self.number = SEEN["connections"]

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = (WithoutConnect if "no-connect" in OPTIONS else H3Connection)(self._quic)
        if isinstance(event, StreamReset):
            SEEN["resets"].append(event.error_code)
        if isinstance(event, StopSendingReceived):
            SEEN["stops"].append(event.error_code)
        if isinstance(event, ConnectionTerminated):
            SEEN["ends"].append(event.error_code)
        if self.http is None:
            return
        for happened in self.http.handle_event(event):
            stream = happened.stream_id
            request = self.requests.setdefault(stream, {"head": None, "body": b"", "trailers": {}})
            if isinstance(happened, HeadersReceived):
                fields = {name.decode(): value.decode() for name, value in happened.headers}
                if request["head"] is None:
                    request["head"] = fields
                    SEEN["requests"] += 1
                    self.under_way += 1
                    SEEN["most"] = max(SEEN["most"], self.under_way)
                    self.begun(stream, request)
                else:
                    request["trailers"] = fields
            elif isinstance(happened, DataReceived):
                request["body"] += happened.data
                if request.get("echoes"):
                    self.http.send_data(stream, happened.data, end_stream=happened.stream_ended)
                    self.transmit()
            if happened.stream_ended:
                self.ended(stream, request)
        self.transmit()

    def begun(self, stream, request):
        """What is done as soon as the head is there."""
        head = request["head"]
        path = head.get(":path", "").split("?")[0]
        if head[":method"] == "CONNECT":
            self.head(stream, 200, sec_websocket_protocol="own")
            self.http.send_data(stream, b"hello ", end_stream=False)
            request["echoes"] = True
        elif path == "/reset":
            self._quic.reset_stream(stream, 0x102)
        elif path == "/reject" and not SEEN.get("rejected"):
            SEEN["rejected"] = True
            self._quic.reset_stream(stream, 0x10B)
            self._quic.stop_stream(stream, 0x10B)
        elif path == "/goaway" and self.number == 1:
            # Nothing from this request on; it stays silent about the request itself.
            control = self.http._local_control_stream_id
            self._quic.send_stream_data(control, encode_frame(FrameType.GOAWAY, encode_uint_var(stream)))
        elif path == "/close" and self.number == 1:
            self.close(error_code=0x102)
        elif path == "/early":
            # Before the body is there.
            self.head(stream, 413)
            self.http.send_data(stream, b"too much", end_stream=True)
            self._quic.stop_stream(stream, 0x100)

    def ended(self, stream, request):
        """What is done when all of it is there."""
        head = request["head"]
        path = head[":path"].split("?")[0]
        self.under_way -= 1
        if path == "/seen":
            self.answer(stream, json.dumps(SEEN).encode())
        elif path == "/fields":
            fields = {**head, "trailers": request["trailers"], "bytes": len(request["body"])}
            self.answer(stream, json.dumps(fields).encode())
        elif path == "/echo":
            self.answer(stream, request["body"])
        elif path == "/large":
            self.head(stream, 200, content_length=str(len(LARGE)))
            self.http.send_data(stream, b"" if head[":method"] == "HEAD" else LARGE, end_stream=True)
        elif path == "/trailers":
            self.head(stream, 200)
            self.http.send_data(stream, b"hello", end_stream=False)
            self.http.send_headers(stream, [(b"x-sum", b"5")], end_stream=True)
        elif path == "/hint":
            self.raw_head(stream, (b":status", b"103"), (b"link", b"</a.css>"))
            self.answer(stream, b"hello")
        elif path == "/slow":
            asyncio.get_running_loop().call_later(0.2, lambda: (self.answer(stream, b"slow"), self.transmit()))
        elif path == "/upper":
            self.raw_head(stream, (b":status", b"200"), (b"X-Upper", b"1"))
        elif path == "/no-status":
            self.raw_head(stream, (b"server", b"x"))
        elif path == "/large-head":
            self.raw_head(stream, (b":status", b"200"), *((b"x", b"y" * 1000) for _ in range(100)))
        elif path == "/many-fields":
            self.raw_head(stream, (b":status", b"200"), *((b"x%d" % number, b"") for number in range(300)))
        elif path == "/short":
            self.head(stream, 200, content_length="9")
            self.http.send_data(stream, b"four", end_stream=True)
        elif path == "/never":
            # Never done.
            self.head(stream, 200)
            self.http.send_data(stream, b"begun", end_stream=False)
        elif path == "/cut":
            self.head(stream, 200)
            self.http.send_data(stream, b"begun", end_stream=False)
            self.transmit()
            asyncio.get_running_loop().call_later(
                0.1, lambda: (self._quic.reset_stream(stream, 0x102), self.transmit())
            )
        elif path not in ("/silent", "/reset", "/early") and head[":method"] != "CONNECT":
            if not (path == "/goaway" and self.number == 1) and not (path == "/reject" and "code" in request):
                self.answer(stream, b"well")

    def head(self, stream, status, **fields):
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        self.http.send_headers(stream, [(b":status", str(status).encode()), *named])

    def raw_head(self, stream, *fields):
        """One that the library would not send."""
        section = b"\x00\x00"
        for name, value in fields:
            length = bytes([0x20 | len(name)]) if len(name) < 7 else bytes([0x27, len(name) - 7])
            section += length + name + self.length(len(value)) + value
        self._quic.send_stream_data(stream, encode_frame(FrameType.HEADERS, section))

    def length(self, number):
        if number < 127:
            return bytes([number])
        number, coded = number - 127, b"\x7f"
        while number >= 128:
            coded += bytes([number % 128 + 128])
            number //= 128
        return coded + bytes([number])

    def answer(self, stream, body):
        self.head(stream, 200, content_length=str(len(body)))
        self.http.send_data(stream, body, end_stream=True)


async def main():
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"], max_datagram_size=1200)
    configuration.load_cert_chain(CERTIFICATE, KEY)
    for option in OPTIONS:
        if option.startswith("certified:"):
            configuration.load_verify_locations(option.removeprefix("certified:"))
            configuration.verify_mode = ssl.CERT_REQUIRED
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    print(server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
