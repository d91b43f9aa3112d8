"""A real TCP server on loopback that answers each connection as a script says, byte by byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Script = Callable[["Received"], Iterator[bytes | float]]
READ_LIMIT_S = 10.0


@dataclass
class Received:
    """One request as it came over the wire; `headers` has lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    port: int
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def allow(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}"})


@contextmanager
def scripted_server(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """Bytes of the script are sent, a number is a pause in seconds, its end closes the socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = ScriptedServer(port=listener.getsockname()[1])
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        connection.settimeout(READ_LIMIT_S)
        try:
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            request = _read_request(connection)
            server.received.append(request)
            for step in script(request):
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif stopped.wait(step):
                    break
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server
    finally:
        stopped.set()
        # Closing alone would leave the port open while accept() waits on it.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def http(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    """A complete answer; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(*steps: bytes | float) -> Script:
    return lambda request: iter(steps)


def in_turn(*scripts: Script) -> Script:
    """The first connection gets the first script, and so on; the last one repeats."""
    waiting = list(scripts)

    def script(request: Received) -> Iterator[bytes | float]:
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request)

    return script


def _read_request(connection: socket.socket) -> Received:
    raw = b""
    while b"\r\n\r\n" not in raw:
        chunk = connection.recv(65536)
        if not chunk:
            raise ValueError("closed before a request")
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    method, target, _ = first.split(" ")
    return Received(method=method, target=target, headers=headers, body=body)
