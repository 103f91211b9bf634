"""Calls of all four kinds through a proxy, with deadlines, errors, metadata and cancellation. Ends with `all well`."""

import queue
import sys
from concurrent import futures

import grpc

OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
channel = grpc.insecure_channel(sys.argv[1], options=OPTIONS)
unary = channel.unary_unary("/test.Calls/Unary")
wait = channel.unary_unary("/test.Calls/Wait")
was_cancelled = channel.unary_unary("/test.Calls/WasCancelled")


def same(got, wanted):
    assert got == wanted, (got, wanted)


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it should have failed")


# One message each way, with metadata in front and behind.
answer, call = unary.with_call(b"hello", metadata=(("x-sent", "me"),), timeout=20)
same(answer, b"me:hello")
initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
same((initial["x-initial"], initial["x-initial-bin"]), ("one", b"\0\xff"))
same((trailing["x-trailing"], trailing["x-trailing-bin"]), ("two", b"\1\xfe"))
same(call.code(), grpc.StatusCode.OK)

# Messages that are larger than every window.
large = b"x" * 3_000_000
same(len(unary(large, timeout=30)), len(large) + 2)

# Many answers, many requests, both at once and in turns.
same(list(channel.unary_stream("/test.Calls/ServerStream")(b"300", timeout=20)), [b"%d" % n for n in range(300)])
pieces = (b"y" * 10_000 for _ in range(300))
same(channel.stream_unary("/test.Calls/ClientStream")(pieces, timeout=20), b"3000000")


requests = queue.Queue()
echoes = channel.stream_stream("/test.Calls/Both")(iter(requests.get, None), timeout=20)
for number in range(50):
    # The next message goes out when the last one was answered.
    requests.put(b"%d" % number)
    same(next(echoes), b"echo %d" % number)
requests.put(None)
same(list(echoes), [])

# Errors, which are answers of trailers alone.
error = status_of(lambda: channel.unary_unary("/test.Calls/Fail")(b"", timeout=20))
same((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "no such thing: \u00e4"))
same(dict(error.trailing_metadata())["x-why"], "gone")
same(status_of(lambda: channel.unary_unary("/test.Calls/None")(b"", timeout=20)).code(), grpc.StatusCode.UNIMPLEMENTED)

# A deadline, and a call that its client gives up: the server hears of both.
same(status_of(lambda: wait(b"", timeout=0.2)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
same(was_cancelled(b"", timeout=30), b"yes")
given_up = wait.future(b"")
given_up.cancel()
same(unary(b"on", timeout=20), b"-:on")

# Many at once share connections.
with futures.ThreadPoolExecutor(16) as threads:
    results = list(threads.map(lambda n: unary(b"%d" % n, timeout=20), range(500)))
same(results, [b"-:%d" % n for n in range(500)])
print("all well")
