"""A real company begins with people enough to decide, and only once (D5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payops.commands import company
from payops.core.models import Book, Person


def described(tmp_path: Path, **changed: Any) -> Path:
    said = {
        "code": "acme",
        "name": "Acme Payments",
        "currency": "GBP",
        "time_zone": "Europe/London",
        "people": [
            {"name": "A", "email": "a@acme.example", "login": "a", "roles": ["compliance"]},
            {"name": "B", "email": "b@acme.example", "login": "b", "roles": ["compliance"]},
            {"name": "C", "email": "c@acme.example", "login": "c", "roles": ["access_admin"]},
        ],
    }
    path = tmp_path / "company.json"
    path.write_text(json.dumps({**said, **changed}))
    return path


def test_description_is_read_as_written(tmp_path: Path) -> None:
    read = company.read(described(tmp_path))

    assert (read.code, read.currency, len(read.people)) == ("acme", "GBP", 3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"currency": "pounds"}, "ISO 4217"),
        ({"time_zone": "Mars/Olympus"}, "not a time zone"),
        ({"people": []}, "0 people hold compliance, 2 are needed"),
    ],
)
def test_description_that_could_not_work_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(company.CompanyRefused, match=words):
        company.read(described(tmp_path, **changed))


@pytest.mark.django_db(transaction=True)
def test_second_company_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    people = Person.objects.count()

    with pytest.raises(CommandError, match="a company exists already"):
        call_command("init_company", described(tmp_path))

    assert Person.objects.count() == people
    assert Book.objects.filter(is_system=False).count() == 1
