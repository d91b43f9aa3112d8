"""What `manage.py test` makes of its arguments, and how a failed check is told."""

import sys

import pytest

from payops.devstack.checks import run_checks
from payops.devstack.testrun import is_narrowed, with_defaults, worker_count


@pytest.mark.parametrize(
    ("arguments", "narrowed"),
    [
        ([], False),
        (["-x", "--maxfail", "3", "-n", "4"], False),
        (["-k", "s1_b"], True),
        (["-ks1_b"], True),
        (["tests/devstack/test_testrun.py::test_worker_count"], True),
        (["--lf"], True),
    ],
)
def test_expression_or_path_narrows_the_run(arguments: list[str], narrowed: bool) -> None:
    assert is_narrowed(arguments) is narrowed


def test_whole_run_gets_two_workers_and_a_narrowed_one_none() -> None:
    assert with_defaults(["-x"]) == ["-n", "2", "--dist", "loadgroup", "-x"]
    assert with_defaults(["-n", "4"]) == ["-n", "4"]
    assert with_defaults(["-k", "s1_b"]) == ["-k", "s1_b"]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 0),
        (["-n", "2", "--dist", "loadgroup"], 2),
        (["-n3"], 3),
        (["--numprocesses=4"], 4),
        (["-n", "0"], 0),
        (["-n", "auto"], 5),
        (["-n", "9999"], 32),
        (["-n"], 0),
    ],
)
def test_worker_count(arguments: list[str], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "5")

    assert worker_count(arguments) == count


def test_failed_check_is_named_with_all_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    checks = {
        "tidy": ("-c", "print('all tidy')"),
        "types": ("-c", "import sys; print('line 3 is wrong'); sys.exit(1)"),
    }

    failed = run_checks(environment={"PATH": sys.exec_prefix}, checks=checks)

    assert failed == ["types"]
    output = capsys.readouterr().out
    assert "tidy                     PASSED" in output and "all tidy" not in output
    assert "types                    FAILED" in output and "line 3 is wrong" in output
