"""Verifies an evidence pack or an audit export offline: python verify_pack.py PACK.zip

Needs Python 3.9 or newer and nothing else: no server, no database, no trust in who made the file
(F36). Recomputes every hash and names what is wrong. It writes its own reading of the formats, so
that a fault in the product cannot hide itself here.

    python verify_pack.py PACK.zip [--anchors FILE] [--json]
    python verify_pack.py AUDIT-EXPORT.jsonl [--anchors FILE] [--json]

--anchors names your own copy of the heads that were mailed or written down outside (one JSON
object per line: at, seq, hash). Without it, the heads inside the file are believed.
Exit code 0: everything fits. 1: something does not; each line says what. 2: not readable at all.
"""

import argparse
import hashlib
import json
import re
import sys
import zipfile
from collections import defaultdict

GENESIS = "0" * 64
FILES_MAX = 100
BYTES_MAX = 1024 * 1024 * 1024
PROBLEMS_MAX = 100
SEAL_WITHIN_S = 60
PACK_FORMAT = "payops-evidence-pack/1"
EXPORT_FORMAT = "payops-audit-export/1"
HASH = re.compile("[0-9a-f]{64}")
REQUIRED = (
    "README.txt",
    "anchors.jsonl",
    "audit.jsonl",
    "chain.csv",
    "chain.json",
    "decisions.json",
    "entries.json",
    "links.jsonl",
    "receipts.json",
    "verify_pack.py",
)


class Unreadable(Exception):
    """The file is no pack and no export; the text says why."""


class Report:
    """What was looked at and what is wrong, in words."""

    def __init__(self):
        self.counts = {}
        self.problems = []
        self.notes = []

    def wrong(self, words):
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(words)
        elif len(self.problems) == PROBLEMS_MAX:
            self.problems.append("further problems are not listed")

    def as_json(self):
        return {
            "ok": not self.problems,
            "counts": self.counts,
            "problems": self.problems,
            "notes": self.notes,
        }


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify an evidence pack or audit export offline.")
    parser.add_argument("file")
    parser.add_argument("--anchors", help="your own copy of the anchored heads")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        own = read_anchors_file(options.anchors) if options.anchors else None
        report = verify(options.file, own)
    except (Unreadable, OSError, zipfile.BadZipFile) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        tell(report)
    return 1 if report.problems else 0


def tell(report):
    for words, count in sorted(report.counts.items()):
        print(f"{count:>8} {words}")
    for words in report.notes:
        print(f"note: {words}")
    for words in report.problems:
        print(f"WRONG: {words}")
    print("NOT VERIFIED" if report.problems else "verified: every hash fits")


def verify(path, own_anchors=None):
    """Verify a pack (.zip) or an export (.jsonl); `own_anchors` is a list of (seq, hash)."""
    if zipfile.is_zipfile(path):
        return verify_pack(path, own_anchors)
    return verify_export(path, own_anchors)


# ---- evidence pack ---------------------------------------------------------------------------


def verify_pack(path, own_anchors=None):
    report = Report()
    files, manifest = read_pack(path, report)
    if manifest is None:
        return report
    check_manifest(files, manifest, report)
    inside = [(a["seq"], a["hash"]) for a in json_lines(files, "anchors.jsonl", report)]
    heads = dict(inside)
    head = manifest.get("chain_head") or {}
    if head.get("seq"):
        heads.setdefault(head["seq"], head["hash"])
    check_own_anchors(own_anchors, heads, report)
    links = check_links(json_lines(files, "links.jsonl", report), heads, report)
    check_audit_rows(json_lines(files, "audit.jsonl", report), links, manifest, report)
    check_entries(json_file(files, "entries.json", report) or [], report)
    check_decisions(json_file(files, "decisions.json", report) or {}, report)
    check_receipts(json_file(files, "receipts.json", report) or [], report)
    return report


def read_pack(path, report):
    files = {}
    with zipfile.ZipFile(path) as pack:
        entries = pack.infolist()
        if len(entries) > FILES_MAX or sum(entry.file_size for entry in entries) > BYTES_MAX:
            raise Unreadable("the pack is larger than any pack of this kind")
        for entry in entries:
            if entry.filename in files:
                report.wrong(f"{entry.filename} is in the pack twice")
                continue
            try:
                files[entry.filename] = pack.read(entry)
            except zipfile.BadZipFile:
                report.wrong(f"{entry.filename} is damaged")
                files[entry.filename] = b""
    if "manifest.json" not in files:
        raise Unreadable("there is no manifest.json in it")
    manifest = json_file(files, "manifest.json", report)
    if not isinstance(manifest, dict) or manifest.get("format") != PACK_FORMAT:
        raise Unreadable(f"its manifest is not {PACK_FORMAT}")
    return files, manifest


def check_manifest(files, manifest, report):
    listed = manifest.get("files", {})
    for name, told in sorted(listed.items()):
        if name not in files:
            report.wrong(f"{name} is missing from the pack")
        elif hashlib.sha256(files[name]).hexdigest() != told["sha256"]:
            report.wrong(f"{name} was changed after the pack was made")
    for name in sorted(set(files) - set(listed) - {"manifest.json"}):
        report.wrong(f"{name} is not listed in the manifest")
    for name in REQUIRED:
        if name not in listed:
            report.wrong(f"{name} is not listed in the manifest")
    report.counts["files"] = len(listed)
    digest = hashlib.sha256(files["manifest.json"]).hexdigest()
    report.notes.append(f"the manifest's sha256 is {digest}; compare it with the audit's")


def check_links(rows, heads, report):
    """Each segment of links runs unbroken from its first seal to a head; answers seq -> link."""
    links = {}
    segments = defaultdict(list)
    for row in rows:
        links[row["seq"]] = row
        segments[row["segment"]].append(row)
    for segment in segments.values():
        segment.sort(key=lambda row: row["seq"])
        previous = None
        for row in segment:
            check_link(row, previous, report)
            previous = row
        last = segment[-1]
        if heads.get(last["seq"]) != last["hash"]:
            report.wrong(f"the links to seal {last['seq']} do not end at an anchored head")
    report.counts["links of the audit chain"] = len(links)
    return links


def check_link(row, previous, report):
    seq, audit_id = row["seq"], row["audit_id"]
    if link_hash(seq, audit_id, row["content_hash"], row["previous_hash"]) != row["hash"]:
        report.wrong(f"seal {seq} was changed (audit row {audit_id})")
    if previous is None:
        return
    if seq != previous["seq"] + 1:
        report.wrong(f"seal {previous['seq'] + 1} is missing (found {seq}, audit row {audit_id})")
    elif row["previous_hash"] != previous["hash"]:
        report.wrong(f"seal {seq} does not follow seal {seq - 1} (audit row {audit_id})")


def check_audit_rows(rows, links, manifest, report):
    fresh = 0
    unproven = set(manifest.get("unproven_seals", []))
    for line in rows:
        audit_id, seal = line["row"]["id"], line["seal"]
        if seal is None:
            if line.get("age_s", SEAL_WITHIN_S) >= SEAL_WITHIN_S:
                report.wrong(f"audit row {audit_id} has no seal")
            fresh += 1
            continue
        if content_hash(line["row"]) != seal["content_hash"]:
            report.wrong(f"audit row {audit_id} (seal {seal['seq']}) was changed after its seal")
        said = (audit_id, seal["content_hash"], seal["previous_hash"])
        if link_hash(seal["seq"], *said) != seal["hash"]:
            report.wrong(f"seal {seal['seq']} of audit row {audit_id} was changed")
        link = links.get(seal["seq"])
        if link is None and seal["seq"] not in unproven:
            report.wrong(f"the link of seal {seal['seq']} is missing (audit row {audit_id})")
        elif link is not None and (link["audit_id"], link["hash"]) != (audit_id, seal["hash"]):
            report.wrong(f"seal {seal['seq']} chains another row than {audit_id}")
    report.counts["audit rows"] = len(rows)
    if fresh:
        report.notes.append(f"{fresh} audit rows were too new to be sealed when the pack was made")
    if unproven:
        report.notes.append(
            f"{len(unproven)} seals are too far from an anchored head to be shown as linked to it"
        )


def check_entries(entries, report):
    for entry in entries:
        lines = entry["lines"]
        totals = defaultdict(int)
        for line in lines:
            totals[line["currency"]] += line["debit_minor"] - line["credit_minor"]
        for currency, total in totals.items():
            if total:
                report.wrong(f"entry {entry['id']} is out of balance by {total} {currency}")
        off = sum(line["reporting_minor"] for line in lines)
        if off:
            report.wrong(f"entry {entry['id']} is out of balance by {off} in reporting currency")
        if len(lines) < 2:
            report.wrong(f"entry {entry['id']} has {len(lines)} lines")
    report.counts["journal entries"] = len(entries)


def check_decisions(told, report):
    approvals = {row["id"]: row for row in told.get("approvals", [])}
    deciders = set()
    for row in told.get("decisions", []):
        asked = approvals.get(row["approval_id"])
        if asked is None:
            report.wrong(f"decision {row['id']} is on {row['approval_id']}, which is not here")
            continue
        if row["content_hash"] != asked["content_hash"]:
            report.wrong(f"decision {row['id']} is on another content than {asked['id']}")
        if row["person"] == asked["requested_by"]:
            report.wrong(f"{asked['id']} was decided by its requester")
        if (asked["id"], row["person"]) in deciders:
            report.wrong(f"{asked['id']} was decided twice by one person")
        deciders.add((asked["id"], row["person"]))
    for asked in approvals.values():
        seats = {
            row["seat"]
            for row in told["decisions"]
            if row["approval_id"] == asked["id"] and row["verdict"] == "approve"
        }
        missing = sorted(set(asked["seats"]) - seats)
        if asked["state"] == "APPROVED" and missing:
            report.wrong(f"{asked['id']} is approved although {', '.join(missing)} did not approve")
    report.counts["approvals"] = len(approvals)
    report.counts["decisions"] = len(told.get("decisions", []))


def check_receipts(receipts, report):
    for row in receipts:
        if not HASH.fullmatch(row["sha256"]):
            report.wrong(f"receipt {row['id']} has no hash of its body")
    report.counts["receipts"] = len(receipts)


# ---- audit export ----------------------------------------------------------------------------


def verify_export(path, own_anchors=None):
    """Walk an export from its first line; constant memory."""
    report = Report()
    wanted = dict(own_anchors or [])
    seen = set()
    with open(path, encoding="utf-8") as file:
        head = line_of(file.readline(), 1)
        if head.get("format") != EXPORT_FORMAT:
            raise Unreadable(f"its first line is not {EXPORT_FORMAT}")
        expected, previous = head["after_seq"], head["after_hash"]
        if expected == 0 and previous != GENESIS:
            report.wrong("the export does not start at the beginning of the chain")
        rows, said = 0, None
        for number, text in enumerate(file, start=2):
            line = line_of(text, number)
            if said is not None:
                report.wrong(f"line {number} stands behind the end")
                break
            if "head" in line:
                said = line["head"]
                continue
            rows += 1
            expected, previous = check_exported(line, expected, previous, report)
            if line["seq"] in wanted:
                seen.add(line["seq"])
                if wanted[line["seq"]] != line["hash"]:
                    report.wrong(f"seal {line['seq']} has another hash than was anchored")
    if said is None:
        report.wrong("the export ends without its head: it was cut short")
    elif (said["seq"], said["hash"]) != (expected, previous):
        report.wrong(f"the export ends at seal {expected}, its head says {said['seq']}")
    for seq in sorted(set(wanted) - seen):
        if seq > head["after_seq"]:
            report.wrong(f"seal {seq} was anchored and is not in the export")
    report.counts["audit rows"] = rows
    report.counts["anchors compared"] = len(seen)
    return report


def check_exported(line, expected, previous, report):
    """One link of an export; answers what the next one has to follow."""
    seq, audit_id, row = line["seq"], line["audit_id"], line["row"]
    if seq != expected + 1:
        report.wrong(f"seal {expected + 1} is missing (found {seq}, audit row {audit_id})")
    if row is None:
        report.wrong(f"audit row {audit_id} (seal {seq}) is gone")
    elif row["id"] != audit_id or content_hash(row) != line["content_hash"]:
        report.wrong(f"audit row {audit_id} (seal {seq}) was changed after it was sealed")
    if link_hash(seq, audit_id, line["content_hash"], line["previous_hash"]) != line["hash"]:
        report.wrong(f"seal {seq} was changed (audit row {audit_id})")
    elif seq == expected + 1 and line["previous_hash"] != previous:
        report.wrong(f"seal {seq} does not follow seal {seq - 1} (audit row {audit_id})")
    return seq, line["hash"]


# ---- hashes and files ------------------------------------------------------------------------


def content_hash(row):
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def link_hash(seq, audit_id, content, previous):
    return hashlib.sha256(f"{seq}:{audit_id}:{content}:{previous}".encode()).hexdigest()


def check_own_anchors(own_anchors, heads, report):
    for seq, digest in own_anchors or []:
        if seq in heads and heads[seq] != digest:
            report.wrong(f"seal {seq} has another hash than your own copy of the anchors")
    if own_anchors is not None:
        known = {seq for seq, _ in own_anchors}
        for seq in sorted(set(heads) - known):
            report.notes.append(f"the head at seal {seq} is not in your own copy of the anchors")


def read_anchors_file(path):
    with open(path, encoding="utf-8") as file:
        lines = [line_of(text, number) for number, text in enumerate(file, start=1) if text.strip()]
    return [(line["seq"], line["hash"]) for line in lines]


def line_of(text, number):
    try:
        line = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"line {number} is not JSON") from error
    if not isinstance(line, dict):
        raise Unreadable(f"line {number} is not a JSON object")
    return line


def json_lines(files, name, report):
    rows = []
    # Only a line feed ends a line: splitlines() would also split inside a text at U+2028.
    texts = files.get(name, b"").decode("utf-8", "replace").split("\n")
    for number, text in enumerate(texts, start=1):
        if not text:
            continue
        try:
            rows.append(json.loads(text))
        except ValueError:
            report.wrong(f"{name}, line {number} is not JSON")
    return rows


def json_file(files, name, report):
    try:
        return json.loads(files.get(name, b"null"))
    except ValueError:
        report.wrong(f"{name} is not JSON")
        return None


if __name__ == "__main__":
    sys.exit(main())
