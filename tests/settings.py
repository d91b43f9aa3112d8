"""Settings of the test run: fast password hashing, no wake-ups, one database per worker."""

from __future__ import annotations

import os

from payops.settings import *  # noqa: F403
from payops.settings import DATABASES

_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if _worker:
    for _database in DATABASES.values():
        _database["NAME"] = f"{_database['NAME']}_{_worker}"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
PAYOPS_WAKE_UPS = False
SECRET_KEY = "tests-only"
