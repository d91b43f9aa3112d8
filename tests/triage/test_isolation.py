"""Triage can move nothing: what it imports and reads, and who may import it (D1, SE-6, AI-2)."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRIAGE = sorted((ROOT / "payops" / "triage").glob("*.py"))
# Words, rows to read, the advice table, and the plain HTTP client; no flow that acts, no service.
ALLOWED = {
    "payops.cases",
    "payops.cases.advice",
    "payops.cases.models",
    "payops.cases.rules",
    "payops.core",
    "payops.core.clock",
    "payops.core.http",
    "payops.core.messages",
    "payops.core.models",
    "payops.core.money",
    "payops.core.queues",
    "payops.flows.payouts.resolutions",
    "payops.payments.models",
    "payops.payments.refund_table",
    "payops.psp",
    "payops.triage",
    "payops.triage.answers",
    "payops.triage.charge_facts",
    "payops.triage.declines",
    "payops.triage.dispute_reasons",
    "payops.triage.endpoint",
    "payops.triage.prompts",
    "payops.triage.refund_failures",
    "payops.triage.refunds",
    "payops.triage.rules",
    "payops.triage.said",
    "payops.webhooks.models",
}
NAMES_FROM_PACKAGES = {
    "payops.cases": {"advice"},
    "payops.core": {"clock", "ids", "logs", "messages"},
    "payops.psp": {"registry"},
    "payops.core.clock": {"business_day", "zone"},
    "payops.payments.refund_table": {"Reason", "Risk", "Rules"},
    "payops.triage": {
        "answers",
        "charge_facts",
        "disputes",
        "drafts",
        "endpoint",
        "model",
        "prompts",
        "refunds",
        "retries",
        "rules",
    },
}
ACTING = ("transition", "save", "propose", "approve", "post", "dispatch", "submit", "execute")


def imports_of(path: Path) -> list[tuple[str, set[str]]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(each.name, set()) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module or "", {each.name for each in node.names}))
    return [
        (name, names)
        for name, names in found
        if name.split(".")[0] in ("payops", "ledger", "approvals", "compliance", "reconciliation")
    ]


@pytest.mark.parametrize("path", TRIAGE, ids=lambda path: path.name)
def test_triage_imports_nothing_that_executes(path: Path) -> None:
    for module, names in imports_of(path):
        assert module in ALLOWED, f"{path.name} imports {module}"
        if module in NAMES_FROM_PACKAGES:
            assert names <= NAMES_FROM_PACKAGES[module], f"{path.name}: {module} {names}"


@pytest.mark.parametrize("path", TRIAGE, ids=lambda path: path.name)
def test_triage_calls_no_method_that_changes_a_case_or_money(path: Path) -> None:
    """`advice.write` and `messages.send` are the only writes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in ACTING, f"{path.name}:{node.lineno} {node.func.attr}"
            assert node.func.attr not in ("update", "create", "bulk_create", "delete"), path.name


# What people and customers typed; advice is made of figures and of machines' words.
TYPED = ("note", "ticket_ref", "ticket_system", "failure_message", "refusal")


@pytest.mark.parametrize(
    "name",
    ["beside.py", "charge_facts.py", "disputes.py", "refunds.py", "retries.py", "drafts.py"],
)
def test_advice_on_records_reads_nothing_that_people_typed(name: str) -> None:
    """D1: no prompt can be injected where no text is read; of evidence only the names are."""
    tree = ast.parse((ROOT / "payops" / "triage" / name).read_text())

    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert read & set(TYPED) == set()


def test_nothing_that_executes_may_import_advice_or_triage() -> None:
    """AI-2, D1: the contract names every executing package, and both modules of advice."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    apart = next(c for c in contracts["contracts"] if c["id"] == "advice-never-executes")

    assert set(apart["forbidden_modules"]) == {"payops.cases.advice", "payops.triage"}
    assert set(apart["source_modules"]) >= {
        "payops.core",
        "payops.flows",
        "payops.api",
        "payops.payments",
        "payops.webhooks",
        "ledger",
        "approvals",
    }
    sources = [ROOT / name for name in ("payops/flows", "payops/payments", "payops/api")]
    sources += [ROOT / name for name in ("payops/core", "approvals", "ledger", "compliance")]
    for path in (file for folder in sources for file in folder.rglob("*.py")):
        for module, names in imports_of(path):
            assert not module.startswith(("payops.triage", "payops.cases.advice")), path
            assert not (module == "payops.cases" and "advice" in names), path


def test_the_models_key_is_read_in_one_place_and_no_other_key_is_read_there() -> None:
    """SE-6: it opens the model and nothing else; triage knows no credential that moves money."""
    sources = [*(ROOT / "payops").rglob("*.py"), *(ROOT / "approvals").rglob("*.py")]
    readers = {
        str(path.relative_to(ROOT)) for path in sources if "ADVICE_MODEL" in path.read_text()
    }

    shows = "payops/console/reads/advice.py"
    assert readers == {"payops/settings.py", "payops/triage/endpoint.py", shows}
    assert '"key"' not in (ROOT / shows).read_text()
    for path in TRIAGE:
        text = path.read_text()
        assert not any(name in text for name in ("settings.PSP", "api_key", "MASTER_KEYS")), path
