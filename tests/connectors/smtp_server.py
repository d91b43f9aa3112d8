"""A mail relay on loopback that answers each command as its script says."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

GREETING = "220 relay.example ready"
NORMAL = {
    "greet": GREETING,
    "ehlo": "250 relay.example",
    "mail": "250 ok",
    "rcpt": "250 ok",
    "data": "354 go on",
    "text": "250 queued",
    "quit": "221 bye",
}
SILENCE = "silence"
HANG_UP = "hang up"
DRIP = "drip"


@dataclass
class Relay:
    port: int
    commands: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}/?from=payops@example.com"


@contextmanager
def relay(answers: Mapping[str, str] | None = None) -> Iterator[Relay]:
    """`answers` replaces single answers of a relay that takes everything."""
    script = {**NORMAL, **(answers or {})}
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Relay(port=listener.getsockname()[1])
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    def say(connection: socket.socket, step: str) -> bool:
        answer = script[step]
        if answer == HANG_UP:
            return False
        if answer == SILENCE:
            stopped.wait(30)
            return False
        if answer == DRIP:
            for _ in range(600):
                connection.sendall(b"250-still thinking\r\n")
                if stopped.wait(0.05):
                    return False
            return False
        connection.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")
        return True

    def converse(connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                if not say(connection, "greet"):
                    return
                for line in lines:
                    command = line.decode("latin-1").strip()
                    seen.commands.append(command)
                    step = command.split(" ")[0].split(":")[0].lower()
                    if not say(connection, step if step in script else "ehlo"):
                        return
                    if step == "data" and script["data"].startswith("354"):
                        seen.texts.append(read_text(lines))
                        if not say(connection, "text"):
                            return
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield seen
    finally:
        stopped.set()
        # Closing alone would leave the port open while accept() waits on it.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_text(lines) -> bytes:
    text = b""
    for line in lines:
        if line == b".\r\n":
            break
        text += line.removeprefix(b".") if line.startswith(b"..") else line
    return text
