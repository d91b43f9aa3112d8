"""What a person reads in the terminal: one line per step, with the seconds since the start."""

import threading
import time

_started_at = time.monotonic()
_one_line_at_a_time = threading.Lock()


def say(text: str) -> None:
    """Progress of the stack itself."""
    elapsed_s = time.monotonic() - _started_at
    write_line(f"[stack {elapsed_s:6.1f} s] {text}")


def write_line(line: str) -> None:
    """One whole line, never mixed with the line of another process."""
    with _one_line_at_a_time:
        print(line, flush=True)
