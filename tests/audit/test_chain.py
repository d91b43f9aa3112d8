"""The audit chain: what anybody changes afterwards is named (AU-5, AU-7, I11)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from payops.core import anchors, audit, clock, verification
from payops.core.actors import service
from payops.core.models import AuditEvent, AuditSeal, Book
from tests.audit.story import seal_all

pytestmark = pytest.mark.usefixtures("owners_world")
ROWS = 12
SHADOW = service("tests")


@pytest.fixture
def chain(owners_world: None) -> Iterator[list[audit.AuditRow]]:
    """Twelve sealed rows of one transaction, a minute old, and nothing before them."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditevent DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE core_auditseal DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM core_auditseal")
        cursor.execute("DELETE FROM core_auditevent")
    rows = [_row(number) for number in range(ROWS)]
    audit.record(rows)
    seal_all()
    yield rows


def _row(number: int, now: datetime | None = None) -> audit.AuditRow:
    return audit.event(
        book=Book.objects.get(code="system"),
        actor=SHADOW,
        action="tested",
        subject_id=f"subject-{number}",
        now=now or clock.utc_now() - timedelta(minutes=2),
        reason="line\u2028separator \u00e9 \u4e2d",
        evidence={"number": number, "nested": {"amount_minor": 12, "list": [1, None, "x"]}},
    )


def _run(*arguments: str) -> tuple[int, dict[str, Any]]:
    told, code = StringIO(), 0
    try:
        call_command("verify_audit", "--json", *arguments, stdout=told)
    except SystemExit as end:
        code = int(str(end.code))
    return code, json.loads(told.getvalue())


def _owner(statement: str, *params: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement, params)
        assert cursor.rowcount > 0


def test_a_sound_chain_verifies_with_its_row_count_and_head(chain: list[audit.AuditRow]) -> None:
    code, told = _run()

    head = AuditSeal.objects.get(seq=ROWS)
    assert (code, told["ok"], told["rows"], told["breaks"]) == (0, True, ROWS, [])
    assert told["head"] == {"seq": ROWS, "hash": head.hash}


def test_the_owner_edits_one_row_and_verify_audit_names_it(chain: list[audit.AuditRow]) -> None:
    edited = chain[6]
    _owner("UPDATE core_auditevent SET reason = 'nothing to see' WHERE id = %s", edited.pk)

    code, told = _run()

    assert code == 1
    assert told["words"] == f"audit row {edited.pk} (seal 7) was changed after it was sealed"
    assert told["breaks"] == [told["words"]]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("login", "somebody"),
        ("service", "another"),
        ("to_state", "PAID"),
        ("subject_id", "subject-x"),
        ("evidence", '{"number": 99}'),
        ("created_at", "2020-01-01T00:00:00Z"),
        ("trace_id", "77"),
        ("channel", "browser"),
    ],
)
def test_no_column_can_be_edited_unseen(
    chain: list[audit.AuditRow], column: str, value: str
) -> None:
    _owner(f"UPDATE core_auditevent SET {column} = %s WHERE id = %s", value, chain[3].pk)

    assert audit.first_break(audit.links_in_database()) == (
        f"audit row {chain[3].pk} (seal 4) was changed after it was sealed"
    )


def test_an_edit_that_also_rewrites_both_content_hashes_breaks_its_seal(
    chain: list[audit.AuditRow],
) -> None:
    row = AuditEvent.objects.get(pk=chain[3].pk)
    row.reason = "rewritten"
    content = audit.content_hash(audit.canonical(row))
    _owner(
        "UPDATE core_auditevent SET reason = 'rewritten', content_hash = %s WHERE id = %s",
        content,
        row.pk,
    )
    _owner("UPDATE core_auditseal SET content_hash = %s WHERE seq = 4", content)

    assert _run()[1]["breaks"] == [f"seal 4 was changed (audit row {row.pk})"]


def test_a_removed_row_and_a_removed_seal_are_named(chain: list[audit.AuditRow]) -> None:
    _owner("DELETE FROM core_auditseal WHERE seq = 5")
    _owner("DELETE FROM core_auditevent WHERE id = %s", chain[4].pk)

    assert _run()[1]["breaks"] == [f"seal 5 is missing (found 6, audit row {chain[5].pk})"]


def test_a_row_gone_under_its_seal_is_named(chain: list[audit.AuditRow]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass",
            ["core_auditseal"],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE core_auditseal DROP CONSTRAINT "{name}"')
    _owner("DELETE FROM core_auditevent WHERE id = %s", chain[4].pk)

    assert _run()[1]["breaks"] == [f"audit row {chain[4].pk} (seal 5) is gone"]


def test_two_rows_swapped_under_their_seals_are_both_named(chain: list[audit.AuditRow]) -> None:
    breaks = list(
        audit.breaks(
            (seq, audit_id, content, previous, digest, swapped)
            for (seq, audit_id, content, previous, digest, row), swapped in zip(
                audit.links_in_database(), _swapped(3, 4), strict=True
            )
        )
    )

    assert breaks == [
        f"audit row {chain[3].pk} (seal 4) was changed after it was sealed",
        f"audit row {chain[4].pk} (seal 5) was changed after it was sealed",
    ]


def _swapped(one: int, two: int) -> list[dict[str, Any] | None]:
    rows = [link[5] for link in audit.links_in_database()]
    rows[one], rows[two] = rows[two], rows[one]
    return rows


def test_a_chain_rewritten_as_a_whole_is_told_from_the_anchored_one(
    chain: list[audit.AuditRow],
) -> None:
    anchor = anchors.anchor_due(clock.utc_now())
    assert anchor is not None
    assert anchor.seq == ROWS
    _owner("UPDATE core_auditevent SET reason = 'rewritten' WHERE id = %s", chain[0].pk)
    for row in AuditEvent.objects.all():
        content = audit.content_hash(audit.canonical(row))
        _owner("UPDATE core_auditevent SET content_hash = %s WHERE id = %s", content, row.pk)
    _owner("DELETE FROM core_auditseal")
    seal_all()

    code, told = _run()

    when = f"{anchor.at:%Y-%m-%d %H:%M} UTC"
    assert audit.first_break(audit.links_in_database()) == ""
    assert code == 1
    assert told["breaks"] == [f"seal 12 has another hash than was anchored at {when}"]


def test_a_tail_cut_off_is_told_from_the_anchor(chain: list[audit.AuditRow]) -> None:
    anchor = anchors.anchor_due(clock.utc_now())
    assert anchor is not None
    _owner("DELETE FROM core_auditseal WHERE seq > 9")
    _owner(
        "DELETE FROM core_auditevent a WHERE NOT EXISTS (SELECT 1 FROM core_auditseal s"
        " WHERE s.audit_id = a.id)"
    )

    assert _run()[1]["breaks"] == [
        f"seal 12 is gone; it was anchored at {anchor.at:%Y-%m-%d %H:%M} UTC"
    ]


def test_rows_older_than_a_minute_must_be_sealed_and_newer_ones_may_wait(
    chain: list[audit.AuditRow],
) -> None:
    now = clock.utc_now()
    audit.record([_row(100)])
    audit.record([_row(101, now=now)])

    report = verification.verify(now=now)

    assert (report.unsealed, report.unsealed_late) == (2, 1)
    assert len(report.breaks) == 1
    assert report.breaks[0].startswith("1 audit rows older than 60 s are not sealed, the first is ")


def test_a_walk_may_start_behind_a_seal_that_was_verified_before(
    chain: list[audit.AuditRow],
) -> None:
    _owner("UPDATE core_auditevent SET reason = 'x' WHERE id = %s", chain[1].pk)

    assert verification.verify(now=clock.utc_now(), after_seq=5).ok
    assert verification.verify(now=clock.utc_now(), after_seq=5).rows == ROWS - 5
    assert not verification.verify(now=clock.utc_now()).ok


def test_pages_join_without_a_seam(
    chain: list[audit.AuditRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 4, 5, 12, 13):
        monkeypatch.setattr(audit, "LINKS_PAGE", size)
        assert [link[0] for link in audit.links_in_database()] == list(range(1, ROWS + 1))


def test_the_hash_is_the_same_from_any_time_zone() -> None:
    berlin = timezone(timedelta(hours=1))
    at = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=berlin)
    book = Book.objects.get(code="system")
    row = audit.event(book=book, actor=SHADOW, action="tested", subject_id="x", now=at)
    audit.record([row])

    read = AuditEvent.objects.get(pk=row.pk)

    assert audit.content_hash(audit.canonical(read)) == row.content_hash
    assert audit.canonical(read)["created_at"] == "2026-03-01T11:00:00.000005+00:00"


@pytest.mark.parametrize("evidence", [{"a": 1.5}, {"a": [{"b": 1e22}]}])
def test_evidence_with_a_float_is_refused(evidence: dict[str, Any]) -> None:
    book = Book.objects.get(code="system")
    with pytest.raises(TypeError, match="holds a float"):
        audit.event(
            book=book,
            actor=SHADOW,
            action="tested",
            subject_id="x",
            now=clock.utc_now(),
            evidence=evidence,
        )


# ---- anchors ---------------------------------------------------------------------------------


def test_the_head_is_written_down_once_an_hour_and_told(
    chain: list[audit.AuditRow], anchored_elsewhere: Path
) -> None:
    told: list[tuple[str, str]] = []
    at = datetime(2026, 3, 1, 10, 5, tzinfo=clock.UTC)

    first = anchors.anchor_due(at, tell=lambda *words: told.append(words))
    again = anchors.anchor_due(at + timedelta(minutes=50), tell=lambda *words: told.append(words))
    later = anchors.anchor_due(at + timedelta(minutes=60), tell=lambda *words: told.append(words))

    path = anchors.file_of_database()
    assert path.parent == anchored_elsewhere
    assert path.stat().st_mode & 0o777 == 0o600
    assert (first and first.seq, again, later and later.seq) == (ROWS, None, ROWS)
    assert [anchor.at.hour for anchor in anchors.read()] == [10, 11]
    assert told[0][0] == "Audit chain: seal 12 at 2026-03-01 10:05 UTC"
    assert json.loads(told[0][1])["hash"] == AuditSeal.objects.get(seq=ROWS).hash
    assert len(told) == 2


def test_nothing_is_anchored_before_the_first_seal(owners_world: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditseal DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM core_auditseal")

    assert anchors.anchor_due(clock.utc_now()) is None
    assert not anchors.file_of_database().exists()


def test_a_damaged_file_of_anchors_is_named_not_skipped(
    chain: list[audit.AuditRow], tmp_path: Path
) -> None:
    damaged = tmp_path / "heads.jsonl"
    damaged.write_text('{"at": "2026-03-01T10:00:00+00:00", "seq": 1, "hash": "a"}\nnonsense\n')

    with pytest.raises(anchors.AnchorsUnreadable, match=r"heads\.jsonl, line 2 is not an anchor"):
        anchors.read(damaged)


def test_the_default_place_is_beside_the_data_directory(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.delenv("PAYOPS_ANCHOR_DIR")
    settings.VAR = Path("/data/payops/var")

    assert anchors.directory() == Path("/data/payops/var-anchors")


# ---- export ----------------------------------------------------------------------------------


def test_an_export_verifies_offline_and_a_tampered_one_does_not(
    chain: list[audit.AuditRow], tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    call_command("export_audit", "--out", str(path), stdout=StringIO())

    assert path.stat().st_mode & 0o777 == 0o600
    assert _run("--export", str(path))[0] == 0
    assert _run("--export", str(path))[1]["rows"] == ROWS

    lines = path.read_text().split("\n")
    forged = tmp_path / "forged.jsonl"
    forged.write_text("\n".join([*lines[:7], lines[7].replace("tested", "paid", 1), *lines[8:]]))
    assert _run("--export", str(forged)) == (
        1,
        {
            "ok": False,
            "words": f"audit row {chain[6].pk} (seal 7) was changed after it was sealed",
            "rows": ROWS,
            "breaks": [f"audit row {chain[6].pk} (seal 7) was changed after it was sealed"],
        },
    )

    shortened = tmp_path / "shortened.jsonl"
    shortened.write_text("\n".join(lines[:9]) + "\n")
    assert _run("--export", str(shortened))[1]["breaks"] == [
        "the export ends without its head: it was cut short"
    ]


def test_an_export_is_held_against_the_auditors_own_anchors(
    chain: list[audit.AuditRow], tmp_path: Path
) -> None:
    path, heads = tmp_path / "audit.jsonl", tmp_path / "heads.jsonl"
    call_command("export_audit", "--out", str(path), stdout=StringIO())
    heads.write_text(anchors.Anchor(at=clock.utc_now(), seq=9, hash="0" * 64).line() + "\n")

    assert _run("--export", str(path), "--anchors", str(heads))[1]["breaks"] == [
        "seal 9 has another hash than was anchored"
    ]


def test_a_partial_export_starts_at_the_seal_it_names(
    chain: list[audit.AuditRow], tmp_path: Path
) -> None:
    path = tmp_path / "tail.jsonl"
    call_command("export_audit", "--out", str(path), "--after-seq", "8", stdout=StringIO())

    assert _run("--export", str(path))[1]["rows"] == 4
