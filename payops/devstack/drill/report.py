"""The findings of a drill as a table for people, and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from payops.devstack.drill.findings import Findings

BREAKS_SHOWN = 10


def lines(findings: Findings) -> Iterator[str]:
    if findings.struck:
        yield f"{'at':>8}  {'struck':<32}{'pid':>8}  {'back after':>10}"
    for struck in findings.struck:
        back = "never" if struck.back_after_s is None else f"{struck.back_after_s:.1f} s"
        yield f"{struck.at_s:>6.1f} s  {struck.blow.words:<32}{struck.pid or '-':>8}  {back:>10}"
    yield ""
    yield "traffic: " + ", ".join(f"{count} {name}" for name, count in findings.traffic.items())
    for name, seconds in findings.quiet_s.items():
        yield f"everything ended {seconds:.1f} s after {name}"
    yield ""
    if findings.figures:
        width = max(len(name) for name in findings.figures)
        for name, figure in findings.figures.items():
            yield f"{name:<{width}}  {figure}"
        yield ""
    yield f"{'checked':>8}  {'':<7} what"
    for check in findings.checks:
        yield f"{check.checked:>8}  {'ok' if check.ok else 'BROKEN':<7} {check.words}"
        for words in check.breaks[:BREAKS_SHOWN]:
            yield f"{'':>19}- {words}"
        if len(check.breaks) > BREAKS_SHOWN:
            yield f"{'':>19}- and {len(check.breaks) - BREAKS_SHOWN} more"
    yield ""
    yield (
        f"{'PASSED' if findings.ok else 'FAILED'}: seed {findings.seed}, "
        f"{findings.kills()} kills in {findings.took_s:.0f} s, "
        f"lost {findings.broken('lost')}, doubled {findings.broken('doubled')}"
    )


def as_json(findings: Findings) -> dict[str, Any]:
    return {
        "ok": findings.ok,
        "seed": findings.seed,
        "took_s": findings.took_s,
        "kills": findings.kills(),
        "lost": findings.broken("lost"),
        "doubled": findings.broken("doubled"),
        "struck": [
            {"at_s": s.at_s, "what": s.blow.words, "pid": s.pid, "back_after_s": s.back_after_s}
            for s in findings.struck
        ],
        "traffic": findings.traffic,
        "quiet_s": findings.quiet_s,
        "figures": findings.figures,
        "checks": [
            {"words": c.words, "ok": c.ok, "checked": c.checked, "breaks": c.breaks[:BREAKS_SHOWN]}
            for c in findings.checks
        ],
    }
