"""What an answer of Adyen to a call that moves money means beyond the common rules.

Owns the one error that is no refusal, and which fields of an answer are kept. Serves D14, RF-17.
"""

from dataclasses import replace

from payops.psp.calling import CallOutcome

# "Request already processed or in progress": the first request with this key may be running.
KEY_IN_USE = "704"


def settled(outcome: CallOutcome) -> CallOutcome:
    """A key in use is no refusal: what the first request with it did is unknown."""
    echo = outcome.echo_amount
    seen = {
        "id": outcome.provider_ref,
        "status": outcome.provider_status,
        "amount": echo.minor if echo else None,
        "currency": echo.currency if echo else None,
        "reference": outcome.echo_reference,
        "error_code": outcome.error_code,
    }
    masked = {name: value for name, value in seen.items() if value is not None}
    in_use = outcome.kind == "refused" and outcome.error_code == KEY_IN_USE
    kind = "unknown" if in_use else outcome.kind
    return replace(outcome, kind=kind, response_masked=masked)
