"""`seed_demo`: the demo company's people, books, accounts and sellers (not its payments)."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

from django.core.management.base import BaseCommand

from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.devstack.seed.base import fresh_api_key, seed_base


class Command(BaseCommand):
    help = "Seeds the demo company; the last line of --json holds its people and API key."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("PAYOPS_SEED_PASSWORD") or secrets.token_urlsafe(9)
        api_key = os.environ.get("PAYOPS_SEED_API_KEY") or fresh_api_key()
        with as_owner():
            seeded = seed_base(now=clock.utc_now(), password=password, api_key=api_key)
        if options["json"]:
            self.stdout.write(json.dumps(seeded))
        else:
            self.stdout.write(f"seeded {len(seeded['people'])} logins")  # type: ignore[arg-type]
