"""How Adyen writes what both kinds of its webhooks carry: flags, times, references.

Never guesses: a value in another form counts as absent. Serves WH-2 and WH-9.
"""

import re
from datetime import UTC, datetime

from payops.psp.strictjson import text_or_none

OUR_REF = re.compile(r"[a-z]{2}_[0-9a-f]{32}", re.ASCII)
REFERENCE = re.compile(r"[!-~]{1,80}", re.ASCII)
# Columns that keep these texts are this wide.
MERCHANT_REF_CHARS_MAX = 120
FAILURE_CODE_CHARS_MAX = 64
YEARS = range(2000, 2100)
FLAGS = {True: True, False: False, "true": True, "false": False}


def flag(value: object) -> bool | None:
    """Adyen sends booleans as such or as text."""
    return FLAGS.get(value) if isinstance(value, bool | str) else None


def reference(value: object) -> str | None:
    """An identifier of Adyen's: up to 80 visible ASCII characters."""
    return value if isinstance(value, str) and REFERENCE.fullmatch(value) else None


def moment(value: object) -> datetime | None:
    """An ISO time with an offset, as UTC; None for anything else."""
    if not isinstance(value, str) or len(value) > 40 or not value.isascii():
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None or found.year not in YEARS:
            return None
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def our_ref(value: object) -> str | None:
    return value if isinstance(value, str) and OUR_REF.fullmatch(value) else None


def merchant_ref(value: object) -> str | None:
    """A reference that is not in our form is the merchant's."""
    return None if our_ref(value) else text_or_none(value, MERCHANT_REF_CHARS_MAX)
