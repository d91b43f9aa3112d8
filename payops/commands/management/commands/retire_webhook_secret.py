"""`retire_webhook_secret stripe/demo ID`: stop accepting an old webhook secret (WH-30)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.core import actors, clock
from payops.flows import account_changes, accounts
from payops.webhooks import rotation
from payops.webhooks.secrets import SecretRefused


class Command(BaseCommand):
    help = (
        "Stops accepting a webhook secret. Refused while it verified a receipt within the overlap "
        "or is the only one, unless --force and --reason are given. Without an id: lists them."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("account", help="provider/slug, such as stripe/demo")
        parser.add_argument("secret", nargs="?", default="", help="its id, or its last characters")
        parser.add_argument("--force", action="store_true", help="also while it is needed")
        parser.add_argument("--reason", default="", help="kept in the audit; needed with --force")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.utc_now()
        if options["force"] and not options["reason"].strip():
            raise CommandError("--force needs --reason: it is kept in the audit")
        try:
            account = account_changes.account_at(options["account"])
            states = rotation.states(account=account, now=now)
            live = [each for each in states if rotation.is_live(each.secret, now)]
            if not options["secret"]:
                self._list(live)
                return
            secret = accounts.retire(
                account=account,
                secret_id=_chosen(live, options["secret"]).secret.pk,
                reason=options["reason"] or "rotation: the overlap is over",
                actor=actors.service("retire-webhook-secret", channel="command"),
                now=now,
                force=options["force"],
            )
        except (
            account_changes.AccountChangeRefused,
            rotation.RotationRefused,
            SecretRefused,
        ) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(
            f"{account.address} accepts …{secret.hint} no longer; {len(live) - 1} secrets are live."
        )

    def _list(self, live: list[rotation.SecretState]) -> None:
        for each in live:
            last = each.use.last_at
            words = f"last verified {last:%Y-%m-%d %H:%M} UTC" if last else "verified nothing"
            self.stdout.write(f"{each.secret.pk}  …{each.secret.hint}  {words}")


def _chosen(live: list[rotation.SecretState], text: str) -> rotation.SecretState:
    found = [
        each for each in live if str(each.secret.pk) == text or each.secret.hint == text.strip("…")
    ]
    if len(found) != 1:
        raise CommandError(
            f"{len(found)} live secrets are called {text[:40]!r}; the account has {len(live)}: "
            + ", ".join(f"{each.secret.pk} (…{each.secret.hint})" for each in live)
        )
    return found[0]
