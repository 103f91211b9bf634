"""A gRPC server of all four kinds of calls, for bytes without a schema. Prints its port. With files of a certificate and its
key, it speaks TLS."""

import pathlib
import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def unary(request, context):
    context.send_initial_metadata((("x-initial", "one"), ("x-initial-bin", b"\0\xff")))
    context.set_trailing_metadata((("x-trailing", "two"), ("x-trailing-bin", b"\1\xfe")))
    sent = dict(context.invocation_metadata())
    return sent.get("x-sent", "-").encode() + b":" + request


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def both(requests, context):
    for request in requests:
        yield b"echo " + request


def fail(request, context):
    context.set_trailing_metadata((("x-why", "gone"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e4")


def wait(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    if ended.wait(30):
        cancelled.release()
    return b"too late"


def was_cancelled(request, context):
    return b"yes" if cancelled.acquire(timeout=20) else b"no"


def echo(request, context):
    context.send_initial_metadata((("x-initial", "one"),))
    context.set_trailing_metadata((("x-trailing", "two"),))
    return request


def echo_many(request, context):
    for _ in range(3):
        yield request


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "EchoMany": grpc.unary_stream_rpc_method_handler(echo_many),
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
    "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
}

server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", METHODS),))
if len(sys.argv) > 2:
    certificate, key = (pathlib.Path(file).read_bytes() for file in sys.argv[1:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
