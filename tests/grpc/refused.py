"""Calls that the proxy answers itself: prints how each ended."""

import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)])
for path in ["/test.Calls/Unary", "/test.Calls/Denied", "/other.Calls/Unary"]:
    try:
        channel.unary_unary(path)(b"hello", timeout=20)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), flush=True)
