"""A provider that takes Stripe-shaped refunds and answers each after 200 ms; counts what it sees.

Stands alone: imports nothing of the product. Prints its port, then, once its standard input is
closed, one JSON line: when calls came, how many were open at once, and how often under each key.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import parse_qs

ANSWER_S = 0.2


class Psp:
    def __init__(self) -> None:
        self.open, self.most = 0, 0
        self.came: list[float] = []
        self.keys: Counter[str] = Counter()
        self.moved_minor: dict[str, int] = {}
        # Seconds for which so many calls were open.
        self.open_for: Counter[int] = Counter()
        self.changed_at = 0.0

    def count(self, change: int) -> None:
        now = time.monotonic()
        if self.changed_at:
            self.open_for[self.open] += now - self.changed_at  # type: ignore[assignment]
        self.changed_at = now
        self.open += change
        self.most = max(self.most, self.open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.came.append(time.monotonic())
        self.count(+1)
        await asyncio.sleep(ANSWER_S)
        answer = self.refund(headers["idempotency-key"], parse_qs(body.decode()))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)
        )
        self.count(-1)
        await writer.drain()
        writer.close()

    def refund(self, key: str, asked: dict[str, list[str]]) -> bytes:
        told = {name: values[0] for name, values in asked.items()}
        self.keys[key] += 1
        self.moved_minor[key] = int(told["amount"])
        reference = told["metadata[payops_reference]"]
        return json.dumps(
            {
                "id": f"re_{reference[3:]}",
                "object": "refund",
                "status": "succeeded",
                "amount": int(told["amount"]),
                "currency": "eur",
                "charge": told["charge"],
                "balance_transaction": f"txn_{reference[3:]}",
                "metadata": {"payops_reference": reference},
            }
        ).encode()

    def told(self) -> dict[str, object]:
        self.count(0)
        return {
            "calls": len(self.came),
            "came": [at - self.came[0] for at in self.came],
            "most": self.most,
            "open_for": dict(self.open_for),
            "keys": len(self.keys),
            "repeated": sum(count - 1 for count in self.keys.values()),
            "moved_minor": sum(self.moved_minor.values()),
        }


async def main() -> None:
    psp = Psp()
    server = await asyncio.start_server(psp.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    print(json.dumps(psp.told()))


if __name__ == "__main__":
    asyncio.run(main())
