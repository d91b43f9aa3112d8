"""A load generator in one thread: prepared requests over keep-alive connections, by epoll.

Closed loop (rate 0): each connection sends its next request when the answer is in. Open loop: the
n-th request is due at n/rate, and its latency counts from then, also when all connections were
busy (nothing is omitted because the server was slow). Prints one JSON object.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import deque
from pathlib import Path

GIVE_UP_S = 30.0


def main(path: str, port: int, seconds: float, connections: int, rate: float) -> None:
    requests = _read(path)
    poll = selectors.DefaultSelector()
    idle: deque[socket.socket] = deque()
    for _ in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        idle.append(link)
        poll.register(link, selectors.EVENT_READ)
    due_at: dict[socket.socket, float] = {}
    partial: dict[socket.socket, bytes] = {}
    latencies: list[float] = []
    sent = accepted = 0
    start = time.perf_counter()
    end = start + seconds
    while True:
        now = time.perf_counter()
        while idle and sent < len(requests) and now < end:
            due = start + sent / rate if rate else now
            if due > now:
                break
            link = idle.popleft()
            link.sendall(requests[sent])
            due_at[link] = due
            sent += 1
        if not due_at and (now >= end or sent >= len(requests)):
            break
        if now > end + GIVE_UP_S:
            raise SystemExit(f"{len(due_at)} requests were never answered")
        wait = max(0.0, start + sent / rate - now) if rate and idle and now < end else 0.5
        for key, _ in poll.select(min(wait, 0.5)):
            link = key.fileobj
            chunk = link.recv(65536)
            if not chunk:
                raise SystemExit("the server closed a connection")
            answer = partial.pop(link, b"") + chunk
            if not _is_whole(answer):
                partial[link] = answer
                continue
            latencies.append(time.perf_counter() - due_at.pop(link))
            accepted += answer[9:12] == b"200"
            idle.append(link)
    finished = time.perf_counter()
    latencies.sort()
    told = {
        "answers": len(latencies),
        "accepted": accepted,
        "seconds": finished - start,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
    }
    print(json.dumps(told))


def _is_whole(answer: bytes) -> bool:
    """Head and body are in, by the length said or by the last chunk."""
    head, mark, body = answer.partition(b"\r\n\r\n")
    if not mark:
        return False
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or b"0")


def _read(path: str) -> list[bytes]:
    raw = Path(path).read_bytes()
    requests, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "big")
        requests.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
