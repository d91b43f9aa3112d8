"""`resolve_allowlist [stripe/demo]`: bring the followed DNS names' addresses up to date (WH-3)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.core import clock
from payops.flows import account_changes, accounts


class Command(BaseCommand):
    help = (
        "Resolves the DNS names on the allowlists now; the schedule does so every hour. A failed "
        "or empty answer removes nothing. Exits 1 when a name did not answer."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("account", nargs="?", default="", help="provider/slug; all without")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            named = options["account"]
            account = account_changes.account_at(named) if named else None
        except account_changes.AccountChangeRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        told = accounts.resolve_names(now=clock.utc_now(), account=account)
        for name, added, removed, error in told:
            words = error or f"{len(added)} added, {len(removed)} removed"
            self.stdout.write(f"{name.account.address}  {name.name}: {words}")
        if not told:
            self.stdout.write("No DNS name is followed.")
        failed = sum(1 for each in told if each[3])
        if failed:
            raise CommandError(f"{failed} of {len(told)} names did not answer; nothing was removed")
