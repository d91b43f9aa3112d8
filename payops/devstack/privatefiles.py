"""Files that hold secrets: mode 0600 from their first byte, replaced as a whole."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_private(*, path: Path, text: str) -> None:
    """A reader sees the old file or the new one, never half of either."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    part.replace(path)


def write_private_json(*, path: Path, content: Mapping[str, Any]) -> None:
    write_private(path=path, text=json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(*, path: Path) -> dict[str, Any]:
    """The object in the file; an absent file is an empty object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return content
