"""A collector that speaks OTLP over HTTP on a port of its own and keeps the spans it is sent."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

WAIT_S = 15


class Collector:
    """`hang_s` makes it take that long to answer."""

    def __init__(self, hang_s: float = 0) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.hang_s = hang_s
        self.address = ""

    def take(self, body: bytes) -> None:
        said = ExportTraceServiceRequest.FromString(body)
        for each in said.resource_spans:
            for fact in each.resource.attributes:
                if fact.key == "service.name":
                    self.services.add(fact.value.string_value)
            for scope in each.scope_spans:
                self.spans.extend(scope.spans)

    def of_trace(self, trace_id: str, *, at_least: int) -> dict[str, Any]:
        """Name → span of a trace, once so many have come."""
        until = time.monotonic() + WAIT_S
        while True:
            found = [span for span in self.spans if span.trace_id.hex() == trace_id]
            if len(found) >= at_least:
                return {span.name: span for span in found}
            assert time.monotonic() < until, f"{len(found)} of {at_least} spans came"
            time.sleep(0.02)


@contextmanager
def listening(hang_s: float = 0) -> Iterator[Collector]:
    collector = Collector(hang_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            time.sleep(collector.hang_s)
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            with suppress(ConnectionError):  # whoever asked has given up waiting
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector.address = f"http://127.0.0.1:{server.server_port}/v1/traces"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
