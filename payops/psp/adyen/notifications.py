"""Adyen's classic notifications: a batch of items, each with a signature of its own.

Owns their verification one by one, their dedupe key (they carry no event id: a refund and its
failure share one reference) and their canonical form. Only eight fields of an item are signed;
everything else in it (date, reason, payment method, additionalData) is hearsay, and no address in
it is ever followed. Serves WH-2, WH-4, WH-9, WH-28, WH-29.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from payops.core.money import Money
from payops.psp import signing, strictjson
from payops.psp.adyen import fields, signature
from payops.psp.adyen.amounts import money_from_adyen
from payops.psp.adyen.event_codes import (
    AUTHORISATION,
    CANCEL_OR_REFUND,
    EVENT_CODES,
    NOT_SUCCESSFUL,
    Meaning,
    meaning_of,
)
from payops.psp.base import (
    LIMITS,
    AccountFacts,
    Authentication,
    EventRefused,
    NormalizedEvent,
    WebhookItem,
)
from payops.psp.methods import method_or_none
from payops.psp.strictjson import child, text_or_none

ITEMS = "notificationItems"
ITEM = "NotificationRequestItem"
ITEMS_MAX = 200
UNREADABLE = "unreadable"
REPORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", re.ASCII)
PLATFORM_FEE = "additionalData.metadata.platform_fee"
# Kinds whose `reason` says why.
EXPLAINED = ("payment.failed", "refund.failed_late", "refund.returned")
WITHOUT_AMOUNT = ("ignored", "report.available")

Item = Mapping[str, Any]


def authenticate(
    body: Mapping[str, Any], keys: signature.Keys, account: AccountFacts
) -> Authentication:
    """Each item verified by itself; a body in which none verifies is refused."""
    listed = _listed(body)
    if listed is None:
        # Neither a signed item nor the header of the other kind of webhook.
        return signing.refused("header_missing")
    if len(listed) > ITEMS_MAX:
        return signing.refused("too_many_items")
    secret_id, items = None, []
    for index, holder in enumerate(listed):
        item = child(holder, ITEM)
        found, reason = _verified_by(item, keys, account)
        if reason:
            items.append(_rejected(index, reason))
        else:
            items.append(_item(index, item, fields.flag(body.get("live"))))
            secret_id = secret_id or found
    if secret_id is None:
        return signing.refused(items[0].reason)
    if fields.flag(body.get("live")) is not account.live:
        return signing.refused("mode_mismatch", secret_id)
    return Authentication(ok=True, secret_id=secret_id, items=tuple(items))


def itemize(body: Mapping[str, Any]) -> Authentication:
    """The items of a body that somebody else vouches for."""
    listed = _listed(body) or []
    if not 0 < len(listed) <= ITEMS_MAX:
        return Authentication(ok=True, parse_error="items_missing" if not listed else "too_many")
    live = fields.flag(body.get("live"))
    items = tuple(_item(index, child(holder, ITEM), live) for index, holder in enumerate(listed))
    return Authentication(ok=True, items=items)


def normalize(
    body: Mapping[str, Any], item_index: int, settings: Mapping[str, str]
) -> NormalizedEvent:
    """The canonical event of one item. Raises EventRefused."""
    listed = _listed(body) or []
    if not 0 <= item_index < len(listed):
        raise EventRefused("no_such_item")
    item = child(listed[item_index], ITEM)
    psp_reference, code = fields.reference(item.get("pspReference")), _code(item)
    success = fields.flag(item.get("success"))
    if psp_reference is None:
        raise EventRefused("psp_reference_missing", "pspReference")
    if code is None:
        raise EventRefused("event_code_missing", "eventCode")
    if success is None:
        raise EventRefused("success_malformed", "success")
    meaning = _meaning(code, item)
    kind, reason = _kind(meaning, code, success, settings)
    amount = _amount(item) if _needs_amount(kind, item) else None
    told = text_or_none(item.get("reason"))
    additional = child(item, "additionalData")
    disputed = kind.startswith("dispute.")
    explained = disputed or kind in EXPLAINED
    code_told = additional.get("chargebackReasonCode") if disputed else None
    return NormalizedEvent(
        kind=kind,
        provider="adyen",
        provider_event_id=_event_id(psp_reference, code, success),
        provider_ref=_subject(item, meaning, psp_reference),
        raw_type=code,
        status="success" if success else "failure",
        occurred_at=fields.moment(item.get("eventDate")),
        live=fields.flag(body.get("live")),
        merchant_ref=fields.merchant_ref(item.get("merchantReference")),
        our_ref=fields.our_ref(item.get("merchantReference")),
        amount=amount,
        platform_fee=_platform_fee(additional, amount),
        currency=amount.currency if amount else None,
        seller_ref=text_or_none(additional.get("metadata.seller"), LIMITS.id_chars_max),
        failure_code=text_or_none(code_told or told, fields.FAILURE_CODE_CHARS_MAX)
        if explained
        else None,
        failure_message=told if explained else None,
        movement_ref=f"{psp_reference}:{code}" if meaning.moves and success else None,
        failure_movement_ref=f"{psp_reference}:{code}" if meaning.gives_back and success else None,
        original_provider_ref=fields.reference(item.get("originalReference")),
        trace_ref=_report_name(told) if kind == "report.available" else None,
        method=_method(kind, item),
        reason=reason,
        due_at=fields.moment(additional.get("defensePeriodEndsAt")) if disputed else None,
        refundable=meaning.refundable if disputed else None,
        stage=meaning.stage if disputed else None,
    )


def _listed(body: Mapping[str, Any]) -> list[Any] | None:
    listed = body.get(ITEMS)
    return listed if isinstance(listed, list) and listed else None


def _verified_by(item: Item, keys: signature.Keys, account: AccountFacts) -> tuple[str, str]:
    """(id of the verifying secret, why not)."""
    if not item:
        return "", "item_malformed"
    given = child(item, "additionalData").get("hmacSignature")
    if not isinstance(given, str) or not given:
        return "", "signature_missing"
    try:
        secret_id = signature.verifying_secret(signature.signed_text(item), given, keys)
    except EventRefused as error:
        return "", error.reason
    if secret_id is None:
        return "", "signature_mismatch"
    expected = account.settings.get("merchant_account", "")
    if expected and item.get("merchantAccountCode") != expected:
        return "", "account_mismatch"
    return secret_id, ""


def _rejected(index: int, reason: str) -> WebhookItem:
    """An item nobody may believe: nothing it says is kept."""
    return WebhookItem(
        index=index,
        provider_event_id="",
        dedupe_key="",
        fingerprint="",
        event_type="",
        object_id="",
        amount_minor=None,
        currency=None,
        occurred_at=None,
        live=None,
        lane="bulk",
        verified=False,
        reason=reason,
    )


def _item(index: int, item: Item, live: bool | None) -> WebhookItem:
    psp_reference, code = fields.reference(item.get("pspReference")), _code(item)
    merchant = fields.reference(item.get("merchantAccountCode"))
    success = fields.flag(item.get("success"))
    if psp_reference is None or code is None or merchant is None or success is None:
        return _unreadable(index, item, live)
    original = fields.reference(item.get("originalReference")) or ""
    meaning = _meaning(code, item)
    parts = [merchant, psp_reference, code, "true" if success else "false"]
    try:
        subject, money = _subject(item, meaning, psp_reference), _amount_or_none(item)
    except EventRefused:
        subject, money = psp_reference, None
    stated = child(item, "amount")
    return WebhookItem(
        index=index,
        provider_event_id=_event_id(psp_reference, code, success),
        dedupe_key=":".join([*parts, original] if original else parts),
        fingerprint=strictjson.fingerprint(
            {
                "item": parts,
                "original": original,
                "reference": _plain(item.get("merchantReference")),
                "value": _plain(stated.get("value")),
                "currency": _plain(stated.get("currency")),
            }
        ),
        event_type=code,
        object_id=subject,
        amount_minor=money.minor if money else None,
        currency=money.currency if money else None,
        occurred_at=fields.moment(item.get("eventDate")),
        live=live,
        lane=meaning.lane,
    )


def _unreadable(index: int, item: Item, live: bool | None) -> WebhookItem:
    """Signed, so it is kept and dead-lettered by `normalize`; one event per distinct content."""
    told = [(name, item.get(name)) for name in (*signature.SIGNED_FIELDS, "amount")]
    digest = hashlib.sha256(repr(told).encode("utf-8", "replace")).hexdigest()
    return replace(
        _rejected(index, ""),
        verified=True,
        dedupe_key=f"{UNREADABLE}:{digest}",
        fingerprint=digest,
        event_type=_code(item) or UNREADABLE,
        live=live,
        lane="standard",
    )


def _plain(value: object) -> str:
    """A signed field as its own signature reads it: text and number are the same."""
    return "" if value is None else str(value)


def _code(item: Item) -> str | None:
    return fields.reference(item.get("eventCode"))


def _event_id(psp_reference: str, code: str, success: bool) -> str:
    """Adyen gives none: what makes an event of an account unique stands for it."""
    return f"{psp_reference}:{code}:{'true' if success else 'false'}"


def _meaning(code: str, item: Item) -> Meaning:
    if code == CANCEL_OR_REFUND:
        action = child(item, "additionalData").get("modification.action")
        return EVENT_CODES["REFUND"] if action == "refund" else EVENT_CODES[code]
    return meaning_of(code)


def _kind(
    meaning: Meaning, code: str, success: bool, settings: Mapping[str, str]
) -> tuple[str, str]:
    if not success:
        ignored = meaning.otherwise == "ignored"
        return meaning.otherwise, (meaning.reason or NOT_SUCCESSFUL) if ignored else ""
    if code == AUTHORISATION and settings.get("auto_capture") == "yes":
        return "payment.captured", ""
    return meaning.kind, meaning.reason


def _subject(item: Item, meaning: Meaning, psp_reference: str) -> str:
    if meaning.about == "itself":
        return psp_reference
    original = fields.reference(item.get("originalReference"))
    if original is None and meaning.kind != "ignored":
        raise EventRefused("original_reference_missing", "originalReference")
    return original or psp_reference


def _needs_amount(kind: str, item: Item) -> bool:
    """A dispute may be told of without one; money that moves may not."""
    if kind.startswith("dispute.") and not kind.startswith("dispute.funds_"):
        return bool(child(item, "amount"))
    return kind not in WITHOUT_AMOUNT


def _amount(item: Item) -> Money:
    stated = child(item, "amount")
    return money_from_adyen(stated.get("value"), stated.get("currency"))


def _amount_or_none(item: Item) -> Money | None:
    try:
        return _amount(item)
    except EventRefused:
        return None


def _platform_fee(additional: Mapping[str, Any], amount: Money | None) -> Money | None:
    """What we keep of a seller's payment, counted as Adyen counts the payment's currency."""
    stated = additional.get("metadata.platform_fee")
    if stated in (None, "") or amount is None:
        return None
    try:
        fee = money_from_adyen(stated, amount.currency)
    except EventRefused as error:
        raise EventRefused("platform_fee_malformed", PLATFORM_FEE) from error
    if fee.minor > amount.minor:
        raise EventRefused("platform_fee_exceeds_amount", PLATFORM_FEE)
    return fee


def _method(kind: str, item: Item) -> str | None:
    """Not signed: good enough for a statistic, never for a decision."""
    if not kind.startswith("payment."):
        return None
    return method_or_none(item.get("paymentMethod"))


def _report_name(told: str | None) -> str | None:
    """The file's name out of an unsigned address; the address itself is dropped."""
    name = (told or "").partition("?")[0].rpartition("/")[2]
    return name if REPORT_NAME.fullmatch(name) else None
