"""The targets that journals are exported to, one line each. Adding one: a module, and its line."""

from collections.abc import Mapping

from payops.formats.journals import beancount, hledger, netsuite, oracle, quickbooks, xero
from payops.formats.journals.base import Target


class TargetUnknown(ValueError):
    """No target of that name takes journals."""


TARGETS: Mapping[str, Target] = {
    each.key: each
    for each in (
        netsuite.TARGET,
        quickbooks.TARGET,
        oracle.TARGET,
        xero.TARGET,
        hledger.TARGET,
        beancount.TARGET,
    )
}


def target(key: str) -> Target:
    """Raises TargetUnknown."""
    try:
        return TARGETS[key]
    except KeyError:
        raise TargetUnknown(
            f"there is no export to {key[:40]!r}; there are {', '.join(TARGETS)}"
        ) from None


def document_number(target: Target, *, reference: str, place: int) -> str:
    """The number of a journal at the target: the same again for every attempt of one export.

    A target of short numbers gets the reference without the book's prefix and without dashes;
    "-USD" must still fit behind it.
    """
    number = f"{reference}-{place}"
    if len(number) + 4 <= target.number_max:
        return number
    _, code, year, month, serial = reference.split("-")
    return f"{code}{year[2:]}{month}{serial}-{place}"
