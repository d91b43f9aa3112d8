"""`rotate_webhook_secret stripe/demo`: add a webhook secret beside the live ones (WH-30).

It acts as the schema's owner: in the browser a new secret needs another person (D5).
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.commands.bootstrap import as_owner
from payops.core import actors, clock
from payops.flows import account_changes, accounts
from payops.webhooks import rotation
from payops.webhooks.secrets import SecretRefused


class Command(BaseCommand):
    help = (
        "Adds a webhook secret to a provider account as the schema's owner, read from standard "
        "input or generated. The old ones go on working until they are retired."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("account", help="provider/slug, such as stripe/demo")
        parser.add_argument("--generate", action="store_true", help="make a value here")
        parser.add_argument("--reason", default="rotation", help="kept in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.utc_now()
        try:
            account = account_changes.account_at(options["account"])
            shape = rotation.FORMATS[account.provider]
            if options["generate"]:
                value = rotation.generated(account)
            else:
                if sys.stdin.isatty():
                    self.stderr.write(f"The new secret ({shape.words}), then Enter:")
                value = sys.stdin.readline()
            with as_owner():
                secret = accounts.rotate_secret(
                    account=account,
                    value=value,
                    reason=options["reason"],
                    actor=actors.service("rotate-webhook-secret", channel="command"),
                    now=now,
                )
        except (
            account_changes.AccountChangeRefused,
            rotation.RotationRefused,
            SecretRefused,
        ) as refusal:
            raise CommandError(str(refusal)) from refusal
        states = rotation.states(account=account, now=now)
        live = [each for each in states if rotation.is_live(each.secret, now)]
        days = rotation.overlap(account).total_seconds() / 86_400
        self.stdout.write(
            f"{account.address} accepts {len(live)} secrets; the new one ends in …{secret.hint}."
        )
        if options["generate"]:
            self.stdout.write(f"Shown this once, enter it at the provider:\n{value}")
        self.stdout.write(f"At the provider: {shape.at_provider}.")
        self.stdout.write(
            f"Keep the old one for {days:.1f} days after its last receipt (the provider's retries "
            "and a margin), then:"
        )
        for each in live:
            if each.secret.pk != secret.pk:
                self.stdout.write(
                    f"  manage.py retire_webhook_secret {account.address} {each.secret.pk}  "
                    f"(…{each.secret.hint}, {_last(each)})"
                )


def _last(state: rotation.SecretState) -> str:
    if state.use.last_at is None:
        return "verified nothing so far"
    return f"last verified {state.use.last_at:%Y-%m-%d %H:%M} UTC"
