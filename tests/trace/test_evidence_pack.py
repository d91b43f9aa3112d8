"""The evidence pack: verified by a file of its own, and every kind of tampering named (F36)."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from payops.commands import verify_pack
from payops.core import anchors, audit, clock
from payops.core.models import AuditEvent, AuditSeal
from payops.flows import evidence_pack
from payops.flows.trace.chain import trace
from tests.audit.story import Story, seal_all, tell
from tests.people import actor

pytestmark = pytest.mark.usefixtures("owners_world")
Files = dict[str, bytes]


@pytest.fixture
def story(owners_world: None) -> Story:
    told = tell()
    seal_all()
    return told


@pytest.fixture
def pack(story: Story, tmp_path: Path) -> Path:
    path = tmp_path / "pack.zip"
    built = evidence_pack.build(chain=trace("P-10492"), now=clock.utc_now())
    path.write_bytes(built.content)
    return path


def run(path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """As an auditor runs it: the verifier out of the pack, in an empty interpreter."""
    script = path.parent / "verifier.py"
    script.write_bytes(evidence_pack.VERIFIER.read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(path), "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def read(path: Path) -> Files:
    with zipfile.ZipFile(path) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def tamper(path: Path, change: Callable[[Files], None], *, sign_again: bool = False) -> Path:
    """A changed copy; with `sign_again` the forger also renews the manifest's hashes."""
    files = read(path)
    change(files)
    if sign_again:
        manifest = json.loads(files["manifest.json"])
        for name in manifest["files"]:
            if name in files:
                manifest["files"][name]["sha256"] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    forged = path.with_name("forged.zip")
    with zipfile.ZipFile(forged, "w") as pack:
        for name, content in files.items():
            pack.writestr(name, content)
    return forged


def rows(files: Files, name: str = "audit.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].decode().split("\n") if line]


def put(files: Files, changed: list[dict[str, Any]], name: str = "audit.jsonl") -> None:
    files[name] = "".join(json.dumps(row) + "\n" for row in changed).encode()


def test_a_pack_verifies_with_nothing_but_the_standard_library(story: Story, pack: Path) -> None:
    code, told = run(pack)

    assert (code, told["ok"], told["problems"]) == (0, True, [])
    assert told["counts"]["receipts"] == 12
    assert told["counts"]["journal entries"] == 3
    assert told["counts"]["decisions"] == 4
    chain = trace("P-10492")
    assert told["counts"]["audit rows"] == sum(line.kind == "audit" for line in chain.lines)
    assert set(read(pack)) == {*verify_pack.REQUIRED, "manifest.json"}


def test_the_same_chain_gives_the_same_bytes(story: Story) -> None:
    now = clock.utc_now()

    first = evidence_pack.build(chain=trace("P-10492"), now=now)
    second = evidence_pack.build(chain=trace("P-10492"), now=now)

    assert first == second
    assert first.filename == f"evidence-{story.payout.public_id}.zip"


def test_a_changed_file_is_named(pack: Path) -> None:
    def change(files: Files) -> None:
        files["chain.csv"] = files["chain.csv"].replace(b"approve", b"reject", 1)

    assert run(tamper(pack, change))[1]["problems"] == [
        "chain.csv was changed after the pack was made"
    ]


def test_a_missing_a_second_and_a_foreign_file_are_named(pack: Path) -> None:
    def change(files: Files) -> None:
        del files["entries.json"]
        files["extra.txt"] = b"hello"

    assert run(tamper(pack, change))[1]["problems"][:2] == [
        "entries.json is missing from the pack",
        "extra.txt is not listed in the manifest",
    ]
    with zipfile.ZipFile(pack, "a") as twice, pytest.warns(UserWarning, match="Duplicate name"):
        twice.writestr("chain.csv", b"another story")
    assert "chain.csv is in the pack twice" in run(pack)[1]["problems"]


def test_an_audit_row_forged_with_a_new_manifest_is_named(pack: Path) -> None:
    forged_id = ""

    def change(files: Files) -> None:
        nonlocal forged_id
        changed = rows(files)
        changed[3]["row"]["reason"] = "nobody knows"
        forged_id = changed[3]["row"]["id"]
        put(files, changed)

    code, told = run(tamper(pack, change, sign_again=True))

    assert code == 1
    assert len(told["problems"]) == 1
    assert told["problems"][0].startswith(f"audit row {forged_id} (seal ")
    assert told["problems"][0].endswith("was changed after its seal")


def test_an_audit_row_forged_with_its_seal_does_not_fit_the_chain(pack: Path) -> None:
    def change(files: Files) -> None:
        changed = rows(files)
        row, seal = changed[3]["row"], changed[3]["seal"]
        row["reason"] = "nobody knows"
        seal["content_hash"] = audit.content_hash(row)
        said = (seal["content_hash"], seal["previous_hash"])
        seal["hash"] = audit.link_hash(seal["seq"], row["id"], *said)
        put(files, changed)

    problems = run(tamper(pack, change, sign_again=True))[1]["problems"]

    assert len(problems) == 1
    assert "chains another row than" in problems[0]


def test_a_missing_seal_and_a_missing_link_are_named(pack: Path) -> None:
    gone = {}

    def without_seal(files: Files) -> None:
        changed = rows(files)
        gone["id"] = changed[2]["row"]["id"]
        changed[2]["seal"] = None
        put(files, changed)

    def without_link(files: Files) -> None:
        changed = rows(files, "links.jsonl")
        gone["seq"] = changed[4]["seq"]
        gone["next"] = changed[5]["audit_id"]
        del changed[4]
        put(files, changed, "links.jsonl")

    assert run(tamper(pack, without_seal, sign_again=True))[1]["problems"] == [
        f"audit row {gone['id']} has no seal"
    ]
    problems = run(tamper(pack, without_link, sign_again=True))[1]["problems"]
    assert problems[0] == (
        f"seal {gone['seq']} is missing (found {int(gone['seq']) + 1}, audit row {gone['next']})"
    )


def test_links_must_end_at_a_head_that_was_written_down(story: Story, pack: Path) -> None:
    def change(files: Files) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["chain_head"]["hash"] = "0" * 64
        files["manifest.json"] = json.dumps(manifest).encode()

    head = AuditSeal.objects.order_by("-seq").first()
    assert head is not None
    assert run(tamper(pack, change))[1]["problems"] == [
        f"the links to seal {head.seq} do not end at an anchored head"
    ]


def test_an_auditor_compares_with_anchors_of_their_own(
    story: Story, pack: Path, tmp_path: Path
) -> None:
    head = AuditSeal.objects.order_by("-seq").first()
    assert head is not None
    own = tmp_path / "own.jsonl"
    own.write_text(anchors.Anchor(at=clock.utc_now(), seq=head.seq, hash=head.hash).line())
    assert run(pack, "--anchors", str(own))[0] == 0

    own.write_text(anchors.Anchor(at=clock.utc_now(), seq=head.seq, hash="1" * 64).line())
    assert run(pack, "--anchors", str(own))[1]["problems"] == [
        f"seal {head.seq} has another hash than your own copy of the anchors"
    ]


def test_links_stop_at_the_next_anchor(story: Story, tmp_path: Path) -> None:
    anchor = anchors.anchor_due(clock.utc_now())
    assert anchor is not None
    tell(merchant_ref="P-30000")
    seal_all()

    built = evidence_pack.build(chain=trace(story.case.public_id), now=clock.utc_now())

    path = tmp_path / "pack.zip"
    path.write_bytes(built.content)
    files = read(path)
    assert max(row["seq"] for row in rows(files, "links.jsonl")) == anchor.seq
    assert anchor.seq < AuditSeal.objects.count()
    assert rows(files, "anchors.jsonl") == [json.loads(anchor.line())]
    assert run(path)[0] == 0


def test_a_seal_too_far_from_a_head_is_said_to_be_unproven(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_pack, "LINKS_MAX", 3)
    path = tmp_path / "pack.zip"
    path.write_bytes(evidence_pack.build(chain=trace("P-10492"), now=clock.utc_now()).content)

    code, told = run(path)

    assert code == 0
    assert any("too far from an anchored head" in note for note in told["notes"])


def test_an_unbalanced_entry_and_a_forged_decision_are_named(story: Story, pack: Path) -> None:
    def change(files: Files) -> None:
        entries = json.loads(files["entries.json"])
        entries[0]["lines"][0]["debit_minor"] += 5
        files["entries.json"] = json.dumps(entries).encode()
        told = json.loads(files["decisions.json"])
        told["decisions"][0]["content_hash"] = "0" * 64
        told["decisions"][1]["person"] = told["approvals"][0]["requested_by"]
        files["decisions.json"] = json.dumps(told).encode()

    problems = run(tamper(pack, change, sign_again=True))[1]["problems"]

    decision = story.release.decisions.get(seat="finance_manager")
    assert problems == [
        f"entry {story.entries[0].public_id} is out of balance by 5 EUR",
        f"decision {decision.public_id} is on another content than {story.release.public_id}",
        f"{story.release.public_id} was decided by its requester",
    ]


def test_making_a_pack_is_audited_under_the_manifests_hash(story: Story) -> None:
    made = evidence_pack.export(chain=trace("P-10492"), actor=actor("audrey"), now=clock.utc_now())

    row = AuditEvent.objects.get(action="evidence_pack.made")
    assert (row.login, row.subject_id) == ("audrey", story.payout.public_id)
    with zipfile.ZipFile(io.BytesIO(made.content)) as pack:
        manifest = pack.read("manifest.json")
    assert row.evidence["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert made.manifest_sha256 == row.evidence["manifest_sha256"]


def test_an_ambiguous_or_empty_chain_makes_no_pack(story: Story) -> None:
    with pytest.raises(evidence_pack.NothingToPack, match="no single chain for 'unknown'"):
        evidence_pack.build(chain=trace("unknown"), now=clock.utc_now())


def test_a_pack_holds_no_names_and_no_bodies(story: Story, pack: Path) -> None:
    text = b"".join(read(pack).values()).decode()

    assert story.seller.name not in text
    assert story.payout.requested_by.name not in text
    assert "evt_late_failure" not in text


@pytest.mark.parametrize("content", [b"", b"hello", b'{"format": "another"}\n', b"PK\x05\x06bad"])
def test_what_is_no_pack_is_refused_in_words(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert verify_pack.main([str(path)]) == 2
    assert "cannot be read: " in capsys.readouterr().err
