"""One-off commands of a start (migrate, seed, the demo day), watched while the stack keeps running.

A command that fails carries its last lines into the error. Its output is kept, and shown on demand.
"""

import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO

from payops.devstack.datadir import CHECKOUT
from payops.devstack.errors import StackError
from payops.devstack.logs import TAIL_LINES
from payops.devstack.output import write_line
from payops.devstack.recipe import Command
from payops.devstack.supervisor import die_with_parent

STOP_TIMEOUT_S = 10.0


def run_step(
    command: Command,
    *,
    name: str,
    environment: Mapping[str, str],
    meanwhile: Callable[[], None],
    shown: bool = False,
) -> str:
    """Run to the end and return what it wrote to stdout; `meanwhile` is called over and over.

    Raises StackError when the command fails, and whatever `meanwhile` raises after ending it.
    """
    child = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    assert child.stdout is not None and child.stderr is not None
    written: list[str] = []
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    readers = [
        threading.Thread(target=_read, args=(child.stdout, [written, tail], shown), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, [tail], shown), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        while child.poll() is None:
            meanwhile()
    finally:
        _end(child)
        for reader in readers:
            reader.join(STOP_TIMEOUT_S)
    if child.returncode:
        lines = "\n".join(f"    {line}" for line in tail) or "    (it wrote nothing)"
        raise StackError(f"{name} failed with code {child.returncode}. Its last lines:\n{lines}")
    return "\n".join(written)


def _read(stream: IO[str], sinks: list[list[str] | deque[str]], shown: bool) -> None:
    with stream:
        for line in stream:
            for sink in sinks:
                sink.append(line.rstrip("\n"))
            if shown:
                write_line(line.rstrip("\n"))


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
