"""Lets any management command find the stack that runs over this checkout's data directory.

`manage.py check_invariants` in a second terminal talks to the running stack without being told its
addresses. A DATABASE_URL given by the caller is always obeyed.
"""

import sys
from collections.abc import MutableMapping

from payops.devstack.datadir import default_path, lock_holder
from payops.devstack.stackfile import ENVIRONMENT_FILE, read_environment


def adopt_running_stack(*, environ: MutableMapping[str, str]) -> bool:
    """Fill in what the running stack's processes see; False when there is none to adopt."""
    directory = default_path()
    if environ.get("DATABASE_URL") or lock_holder(path=directory) is None:
        return False
    try:
        found = read_environment(directory=directory)
    except FileNotFoundError:
        return False  # it is still starting
    except PermissionError:
        path = directory / ENVIRONMENT_FILE
        print(f"a stack is running, but {path} belongs to another account", file=sys.stderr)
        return False
    for name, value in found.items():
        environ.setdefault(name, value)
    return True
