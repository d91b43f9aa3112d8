"""Starts localstripe on loopback alone: `python localstripe_launcher.py PORT DIRECTORY`.

Run by the interpreter that has localstripe, in a process of its own; nothing of the product is
imported here and nothing of localstripe in the product. By itself localstripe listens on every
address and keeps its objects in one file of the machine.
"""

from __future__ import annotations

import builtins
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

PORT, DIRECTORY = sys.argv[1], Path(sys.argv[2])
STORE = "localstripe.pickle"


class LoopbackSocket(socket.socket):
    """IPv4 where IPv6 is asked for, and bound to loopback."""

    def __init__(self, family: int = -1, *arguments: Any, **named: Any) -> None:
        asked = socket.AF_INET if family == socket.AF_INET6 else family
        super().__init__(asked, *arguments, **named)

    def bind(self, address: Any) -> None:
        super().bind(("127.0.0.1", address[1]) if address[0] == "::" else address)


open_anywhere = builtins.open


def open_here(file: Any, *arguments: Any, **named: Any) -> Any:
    if isinstance(file, str) and file.endswith(f"/{STORE}"):
        file = DIRECTORY / STORE
    return open_anywhere(file, *arguments, **named)


socket.socket = LoopbackSocket  # type: ignore[misc]
builtins.open = open_here
sys.argv = ["localstripe", "--port", PORT, "--from-scratch"]
runpy.run_module("localstripe", run_name="__main__", alter_sys=True)
