"""`import_allowlist stripe/demo FILE`: ask for a text list of networks to be brought in (WH-3)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from approvals.refusals import ApprovalRefused
from payops.core import clock
from payops.core.actors import Actor
from payops.core.models import User
from payops.flows import account_changes, accounts
from payops.flows.governance import ChangeRefused
from payops.webhooks import allowlist

FILE_BYTES_MAX = 256 * 1024


class Command(BaseCommand):
    help = (
        "Shows what a text list (one network or address per line, # comments) would change on a "
        "provider account's allowlist; with --login it asks for the change, others decide."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("account", help="provider/slug, such as stripe/demo")
        parser.add_argument("file", help="the list; - is standard input")
        parser.add_argument("--label", default="", help="name of the list; the file's name if none")
        parser.add_argument("--login", default="", help="who asks; without it nothing is asked for")
        parser.add_argument("--reason", default="", help="why; needed with --login")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.utc_now()
        label = options["label"] or Path(options["file"]).stem
        reading = allowlist.read_text(_text(options["file"]))
        if reading.problems:
            raise CommandError("nothing was asked for:\n" + "\n".join(reading.problems[:50]))
        try:
            account = account_changes.account_at(options["account"])
            planned = allowlist.plan(account=account, label=label, networks=reading.networks)
            self._tell(planned)
            if not (planned.added or planned.removed):
                return
            facts = accounts.allowlist_facts(
                account=account, now=now, label=label, networks=reading.networks
            )
            if facts["warning"]:
                self.stdout.write(f"WARNING: {facts['warning']}")
            if not options["login"]:
                self.stdout.write("Nothing was asked for; add --login and --reason to ask.")
                return
            approval = accounts.propose_allowlist(
                account=account,
                facts=facts,
                reason=options["reason"],
                actor=_actor(options["login"]),
                now=now,
            )
        except (account_changes.AccountChangeRefused, ChangeRefused, ApprovalRefused) as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"Asked for: {approval.public_id}. {approval.rule_fired}.")

    def _tell(self, planned: allowlist.Plan) -> None:
        for sign, networks in (("+", planned.added), ("-", planned.removed)):
            for network in networks:
                self.stdout.write(f"{sign} {network}")
        counts = f"{len(planned.added)} added, {len(planned.kept)} kept"
        self.stdout.write(f"{counts}, {len(planned.removed)} removed")


def _text(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read(FILE_BYTES_MAX + 1) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise CommandError(f"{len(raw)} bytes; a list has at most {FILE_BYTES_MAX}")
    return raw.decode("utf-8-sig", errors="replace")


def _actor(login: str) -> Actor:
    user = User.objects.filter(username=login, is_active=True).exclude(person=None).first()
    if user is None:
        raise CommandError(f"there is no person with the login {login[:60]}")
    return Actor(channel="command", person_id=user.person_id, login=login, user_id=user.pk)
