"""The log of one process: a rotated file, its last lines for error messages, and the terminal."""

import logging
import subprocess
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from payops.devstack.errors import StackError
from payops.devstack.output import write_line

FILE_MAX_BYTES = 5_000_000
OLD_FILES_KEPT = 3
TAIL_LINES = 20
LINE_MAX_BYTES = 64_000
FLUSH_TIMEOUT_S = 2.0


class ProcessLog:
    """Follows one process after another under the same name."""

    def __init__(self, *, name: str, directory: Path, shown: bool) -> None:
        self.path = directory / f"{name}.log"
        self._prefix = f"[{name}] "
        self._shown = shown
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._reader: threading.Thread | None = None
        self.path.touch(mode=0o600)
        self._file = RotatingFileHandler(
            self.path, maxBytes=FILE_MAX_BYTES, backupCount=OLD_FILES_KEPT, encoding="utf-8"
        )

    def follow(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(child.stdout,), daemon=True)
        self._reader.start()

    def failure(self, what: str) -> StackError:
        """An error that carries the last lines, because they nearly always name the cause."""
        if self._reader:
            self._reader.join(FLUSH_TIMEOUT_S)
        tail = "\n".join(f"    {line}" for line in self._tail) or "    (it wrote nothing)"
        return StackError(f"{what}. Its last lines (all of them: {self.path}):\n{tail}")

    def close(self) -> None:
        if self._reader:
            self._reader.join(FLUSH_TIMEOUT_S)
        self._file.close()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in iter(lambda: stream.readline(LINE_MAX_BYTES), b""):
                line = raw.decode("utf-8", "replace").rstrip()
                self._tail.append(line)
                self._file.emit(logging.makeLogRecord({"msg": line}))
                if self._shown:
                    write_line(self._prefix + line)
