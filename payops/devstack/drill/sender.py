"""The soak's provider: sends signed events at a steady rate and repeats what was not acknowledged.

A process of its own, so that nothing else of the drill slows its clock. The n-th delivery is due at
n/rate and its answer counts from then, also when every connection was busy. Keeps what it sent and
who answered in a file: the witness of the soak. No Django. Serves WH-14 and SC-4.
"""

from __future__ import annotations

import heapq
import http.client
import json
import queue
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from payops.devstack.drill.letters import Letter, good, headers, poison

CONNECTIONS = 128  # a provider opens as many as it needs
TIMEOUT_S = 15.0
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
PATIENCE_S = 240.0  # after the last new event, for what is still unacknowledged
REMEMBERED = 3_000  # a duplicate repeats one of the last so many
IDLE_S = 0.5
SLOW_S = 1.0


@dataclass(slots=True)
class Sent:
    """One body and all that became of it; `deliveries` are those wanted, not the attempts."""

    letter: Letter
    first_due_s: float
    deliveries: int = 1
    answered: int = 0
    acknowledged_s: float | None = None


@dataclass(order=True, slots=True)
class Due:
    at_s: float
    number: int
    sent: Sent = field(compare=False)
    tries: int = field(compare=False, default=0)


class Post:
    """What is due, handed to the connections in the order of time by one clerk."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._changed = threading.Condition()
        self._ready: queue.SimpleQueue[Due | None] = queue.SimpleQueue()
        self._number = 0
        self._closed = False
        self.open = 0  # deliveries not yet acknowledged
        threading.Thread(target=self._hand_out, name="clerk", daemon=True).start()

    def add(self, sent: Sent, *, at_s: float, tries: int = 0) -> None:
        with self._changed:
            self._number += 1
            self.open += 0 if tries else 1
            heapq.heappush(self._heap, Due(at_s, self._number, sent, tries))
            self._changed.notify()

    def take(self) -> Due | None:
        """The next one when its time has come; None when the post is closed."""
        return self._ready.get()

    def done(self) -> None:
        with self._changed:
            self.open -= 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _hand_out(self) -> None:
        with self._changed:
            while not self._closed:
                wait_s = self._heap[0].at_s - time.monotonic() if self._heap else IDLE_S
                if self._heap and wait_s <= 0:
                    self._ready.put(heapq.heappop(self._heap))
                else:
                    self._changed.wait(wait_s)
        for _ in range(CONNECTIONS):
            self._ready.put(None)


class Sender:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.secrets: dict[str, str] = told["secrets"]
        self.target = urlsplit(told["web"])
        self.post = Post()
        self.lock = threading.Lock()
        # Of attempts answered 2xx, or not at all within the timeout: from when they were due, and
        # from when a connection was free for them.
        self.attempts_s: list[float] = []
        self.services_s: list[float] = []
        self.failures: Counter[str] = Counter()
        self.sent: list[Sent] = []

    def run(self) -> dict[str, Any]:
        threads = [threading.Thread(target=self._carry, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        begun_s = time.monotonic()
        self._fill(begun_s)
        ended_s = time.monotonic()
        until_s = ended_s + PATIENCE_S
        while self.post.open and time.monotonic() < until_s:
            time.sleep(0.1)
        self.post.close()
        for thread in threads:
            thread.join(TIMEOUT_S + 1)
        return self._summary(ended_s - begun_s)

    def _fill(self, begun_s: float) -> None:
        """Hand in everything a moment before it is due; never more than the rate."""
        dice, rate = random.Random(self.told["seed"]), float(self.told["rate"])
        for number in range(int(rate * self.told["seconds"])):
            due_s = begun_s + number / rate
            ahead_s = due_s - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
            chance = dice.random()
            if chance < self.told["duplicates"] and self.sent:
                again = dice.choice(self.sent[-REMEMBERED:])
                if dice.random() < 0.5:
                    again = self.sent[-1]  # while the first delivery is perhaps still under way
                again.deliveries += 1
                self.post.add(again, at_s=due_s)
                continue
            self._new(number, due_s, dice)

    def _new(self, number: int, due_s: float, dice: random.Random) -> None:
        prefix, at = self.told["prefix"], int(time.time())
        if dice.random() < self.told["poison"]:
            letter = poison(prefix=prefix, number=number, at=at, dice=dice)
        else:
            letter = good(prefix=prefix, number=number, at=at, secrets=self.secrets, dice=dice)
        sent = Sent(letter, due_s)
        self.sent.append(sent)
        self.post.add(sent, at_s=due_s)

    def _carry(self) -> None:
        link = http.client.HTTPConnection(
            self.target.hostname or "", self.target.port, timeout=TIMEOUT_S
        )
        while (due := self.post.take()) is not None:
            begun_s = time.monotonic()
            word = self._attempt(link, due.sent.letter)
            now_s = time.monotonic()
            with self.lock:
                if word in ("200", "timeout"):
                    self.attempts_s.append(now_s - due.at_s)
                    self.services_s.append(now_s - begun_s)
                if word == "200":
                    due.sent.answered += 1
                    due.sent.acknowledged_s = due.sent.acknowledged_s or now_s
                else:
                    self.failures[word] += 1
            if word == "200":
                self.post.done()
            else:
                pause_s = BACKOFF_S[min(due.tries, len(BACKOFF_S) - 1)] * random.uniform(0.8, 1.2)
                self.post.add(due.sent, at_s=now_s + pause_s, tries=due.tries + 1)

    def _attempt(self, link: http.client.HTTPConnection, letter: Letter) -> str:
        """The status answered, or in a word why there was none."""
        signed = headers(letter, at=int(time.time()), secrets=self.secrets)
        try:
            link.request(
                "POST",
                f"/webhooks/{letter.provider}/demo/",
                body=letter.body,
                headers={"Content-Type": "application/json", **signed},
            )
            answer = link.getresponse()
            answer.read()
        except TimeoutError:
            link.close()
            return "timeout"
        except (OSError, http.client.HTTPException):
            link.close()
            return "no connection"
        return str(answer.status)

    def _summary(self, took_s: float) -> dict[str, Any]:
        with self.lock:
            self.attempts_s.sort()
            self.services_s.sort()
            waits = sorted(
                sent.acknowledged_s - sent.first_due_s
                for sent in self.sent
                if sent.acknowledged_s is not None
            )
            return {
                "seconds": round(took_s, 1),
                "deliveries": sum(sent.deliveries for sent in self.sent),
                "answered": sum(sent.answered for sent in self.sent),
                "unacknowledged": self.post.open,
                "failed_attempts": dict(self.failures),
                "attempt_s": _shares(self.attempts_s),
                "service_s": _shares(self.services_s),
                "slow": sum(wait_s > SLOW_S for wait_s in self.attempts_s),
                "acknowledged_s": _shares(waits),
                "bodies": [
                    [
                        sent.letter.names,
                        sent.letter.sha256,
                        sent.answered,
                        sent.letter.reference,
                        sent.letter.amount_minor,
                    ]
                    for sent in self.sent
                ],
            }


def _shares(sorted_s: list[float]) -> dict[str, float]:
    """p50, p99 and the longest, in seconds; empty when nothing was measured."""
    if not sorted_s:
        return {}
    return {
        "p50": sorted_s[len(sorted_s) // 2],
        "p99": sorted_s[int(len(sorted_s) * 0.99)],
        "max": sorted_s[-1],
    }


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(Sender(told).run()), encoding="utf-8")
