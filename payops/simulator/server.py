"""The HTTP/1.1 side: reads one bounded request, hands it on, answers or loses the answer.

Owns sockets and limits, and who may drive the control side: a page of another site must not be
able to press its buttons. Never decides anything about money.
"""

import json
import select
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from payops.simulator import (
    adyen_api,
    control,
    gateway,
    page,
    paypal_api,
    paypal_proof,
    standard_api,
    stripe_api,
)
from payops.simulator.config import BODY_MAX, PAYPAL
from payops.simulator.postmark import CERTIFICATES_PATH
from payops.simulator.wire import (
    ANSWER,
    RESET,
    Refused,
    Request,
    Response,
    json_response,
)
from payops.simulator.world import World

CONNECTIONS_MAX = 512
IDLE_TIMEOUT_S = 60
LOOK_S = 0.25
BLANKS = b" " * 65_536
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


# A face whose paths lie within those of another comes before it.
FACES = (
    stripe_api.FACE,
    adyen_api.TRANSFERS,
    adyen_api.CHECKOUT,
    paypal_api.TOKENS,
    paypal_api.API,
    standard_api.FACE,
)


class Server(ThreadingHTTPServer):
    """A bounded threaded server on the loopback interface."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, world: World, port: int, healthy: Callable[[], bool]) -> None:
        self.world = world
        self.healthy = healthy
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection only while a slot is free."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and give its slot back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "psp-simulator"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = IDLE_TIMEOUT_S
    server: Server

    def do_GET(self) -> None:
        """Answer a read."""
        self._serve()

    def do_POST(self) -> None:
        """Answer a write."""
        self._serve()

    def do_DELETE(self) -> None:
        """Answer a withdrawal."""
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: attempts and movements are in the store."""

    def _serve(self) -> None:
        try:
            response = route(self.server, self._read())
        except Refused as refusal:
            self.close_connection = True
            response = refusal.response()
        if response.pause_s:
            self._wait(response.pause_s)
        if response.ending == ANSWER:
            self._answer(response)
            return
        self.close_connection = True
        if response.ending == RESET:
            # Linger zero makes the kernel send RST instead of an orderly end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def _read(self) -> Request:
        if self.headers.get("Transfer-Encoding"):
            raise Refused(411, "Send a Content-Length.", code="length_required")
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit()) or len(length) > 12:
            raise Refused(400, "Content-Length is not a number.", code="length_invalid")
        if int(length) > BODY_MAX:
            text = f"The body has {length} bytes, at most {BODY_MAX} are taken."
            raise Refused(413, text, code="body_too_large")
        body = self.rfile.read(int(length))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, parts.path, parts.query, headers, body)

    def _answer(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in {**SAFE_HEADERS, **response.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body) + response.padding))
        self.end_headers()
        try:
            self._send_body(response)
        except OSError:
            # The caller had enough of it.
            self.close_connection = True

    def _send_body(self, response: Response) -> None:
        if not response.byte_s:
            self.wfile.write(response.body)
        else:
            self.wfile.flush()
            for place in range(len(response.body)):
                if self.server.world.stop.is_set():
                    raise ConnectionAbortedError("the simulator stops")
                self._wait(response.byte_s)
                self.wfile.write(response.body[place : place + 1])
                self.wfile.flush()
        for place in range(0, response.padding, len(BLANKS)):
            self.wfile.write(BLANKS[: response.padding - place])
        self.wfile.flush()

    def _wait(self, pause_s: float) -> None:
        """Let time pass, but not longer than the caller stays or the simulator runs."""
        world = self.server.world
        until = world.clock() + pause_s
        while (left := until - world.clock()) > 0 and not world.stop.is_set():
            ready, _, _ = select.select([self.connection], [], [], min(left, LOOK_S))
            if ready and not self.connection.recv(1, socket.MSG_PEEK):
                return
            if ready:
                world.stop.wait(min(left, LOOK_S))


def route(server: Server, request: Request) -> Response:
    """Hand a request to the part of the simulator its path names."""
    world, path = server.world, request.path
    if path == "/healthz":
        healthy = server.healthy()
        answer = {"status": "ok" if healthy else "failing", "part": "simulator"}
        return json_response(answer, status=200 if healthy else 503)
    if path.startswith(f"/paypal{CERTIFICATES_PATH}") and PAYPAL in world.config.endpoints:
        return paypal_proof.certificate(world, request)
    for face in FACES:
        if path.startswith(f"{face.prefix}/") and face.provider in world.config.endpoints:
            return gateway.serve(world, face, request)
    _same_site(request)
    if path.startswith("/control/"):
        response = control.serve(world, request)
        if request.is_form() and response.status >= 400:
            problem = json.loads(response.body)["error"]["message"]
            return page.show(world, request, problem=problem, status=response.status)
        return response
    if request.method == "GET":
        return page.serve(world, request)
    raise Refused(404, "Nothing is here.", code="url_unknown")


def _same_site(request: Request) -> None:
    """Refuse what another site's page, or a name that was rebound to loopback, asks for."""
    host = request.headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in LOCAL_NAMES:
        raise Refused(403, "The control side answers on the loopback name only.", code="host")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        raise Refused(403, "Another site may not use the control side.", code="origin")
