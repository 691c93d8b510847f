"""a grpc server and channel made at import, called in a view, and others made in the view"""
from concurrent import futures

import grpc
from _app import text


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def make():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/hazard/Echo")


server, echo = make()


@text
def app(environ):
    assert echo(b"at import", timeout=5) == b"at import"
    other, echo_too = make()
    assert echo_too(b"in the view", timeout=5) == b"in the view"
    other.stop(0)
    return "ok"
