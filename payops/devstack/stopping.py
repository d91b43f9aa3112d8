"""The wish to stop, as signals bring it.

A pipe and not a threading.Event: a handler runs in the thread that may just be inside `wait`, and
would wait for ever for the lock an Event holds there.
"""

import contextlib
import os
import select
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    def __init__(self) -> None:
        self.number = 0  # the signal that asked last
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def on_signals(self) -> "StopRequest":
        """Take Ctrl-C, termination and a closed terminal as the wish to stop."""
        for number in SIGNALS:
            signal.signal(number, lambda received, _frame: self.make(received))
        return self

    def make(self, number: int) -> None:
        self.number = number
        with contextlib.suppress(BlockingIOError):  # full: asked thousands of times already
            os.write(self._writer, b".")

    def is_made(self) -> bool:
        return self.wait(0)

    def wait(self, timeout_s: float) -> bool:
        """True as soon as the request is made, False after the time."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        return bool(ready)
