"""A real HTTP server on loopback whose system is written in a test: a function per request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from payops.core.http import HttpClient

SILENCE_S = 20.0


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """`body` is sent as JSON unless it is bytes. `hang`: "before" or "after" the work is done."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang: str = ""


@dataclass
class System:
    """A fake system: subclasses answer as documented and note what is not as documented.

    `script` answers come before the system's own, one per request, each told whether it works.
    """

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    script: list[Answer] = field(default_factory=list)

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def http(self) -> HttpClient:
        return HttpClient(allow=[self.netloc], deadline_s=5.0)

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def want(self, ok: bool, words: str) -> None:
        if not ok:
            self.complaints.append(words)


@contextmanager
def serving(system: System) -> Iterator[Any]:
    """The system on a port of its own; nothing of what it asked for may be missing at the end."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            system.asked.append(asked)
            scripted = system.script.pop(0) if system.script else None
            if scripted is None:
                self._say(_checked(system, asked))
            elif scripted.hang == "before":
                stopped.wait(SILENCE_S)
            elif scripted.hang == "after":
                _checked(system, asked)
                stopped.wait(SILENCE_S)
            elif scripted.hang == "cut":
                _checked(system, asked)
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._say(scripted)

        def _say(self, answer: Answer) -> None:
            content = answer.body
            if not isinstance(content, bytes):
                content = b"" if content is None else json.dumps(content).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = _serve

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", system.port), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    system.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield system
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
    assert system.complaints == []


def _checked(system: System, asked: Asked) -> Answer:
    try:
        return system.answer(asked)
    except Exception as error:  # noqa: BLE001 - what the fake stumbles over is told by the test
        system.complaints.append(f"{asked.method} {asked.path}: {type(error).__name__} {error}")
        return Answer(500)
