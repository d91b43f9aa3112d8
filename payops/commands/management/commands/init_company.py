"""`init_company FILE`: found a real company on an empty database; prints first passwords once."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payops.commands import company
from payops.commands.bootstrap import as_owner
from payops.core import clock


class Command(BaseCommand):
    help = "Creates the first book and people from a JSON description, as the schema's owner."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            described = company.read(options["file"])
            passwords = {told["login"]: secrets.token_urlsafe(12) for told in described.people}
            with as_owner():
                company.found(described, passwords=passwords, now=clock.utc_now())
        except company.CompanyRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        for login, password in passwords.items():
            self.stdout.write(f"{login}  {password}")
