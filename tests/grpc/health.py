"""A gRPC server with the standard health service, over the messages as bytes. Prints its port. What is serving is what the file of
its argument says, in lines of NAME=NUMBER (1 serving, 2 not); the server as a whole has no name."""

import pathlib
import sys
from concurrent import futures

import grpc

states = pathlib.Path(sys.argv[1])


def check(request, context):
    name = request[2:].decode() if request else ""
    known = dict(line.split("=") for line in states.read_text().split())
    if name not in known:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([8, int(known[name])])


handler = grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((handler,))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
