"""PayPal's proofs: the certificate that signs, and the check of a webhook that is handed back.

The check is over the event's bytes as they stand in the request: an event that was parsed and
written anew fails, as it may at PayPal. Serves both of PayPal's ways to verify (WH-2).
"""

import base64
import binascii
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from payops.simulator.config import PAYPAL
from payops.simulator.gateway import Answer, Call
from payops.simulator.outages import PAYPAL_CERTIFICATES, outage_answer
from payops.simulator.postmark import CERTIFICATES_PATH, certificate_address
from payops.simulator.signing import PAYPAL_ALGORITHM, paypal_text
from payops.simulator.store import Database
from payops.simulator.wire import Params, Refused, Request, Response, json_params, text
from payops.simulator.world import World

VERIFIED = (
    *("auth_algo", "cert_url", "transmission_id", "transmission_sig"),
    *("transmission_time", "webhook_id"),
)
RAW_EVENT = "webhook_event_raw"
PARAMS = (*VERIFIED, "webhook_event", RAW_EVENT)


def signature_verify(db: Database, call: Call) -> Answer:
    """POST /v1/notifications/verify-webhook-signature, over the event's bytes as they came."""
    is_good = _is_genuine(call.world, call.params)
    return {"verification_status": "SUCCESS" if is_good else "FAILURE"}


def certificate(world: World, request: Request) -> Response:
    """GET /paypal/certs/<name>.pem: the chain of the certificate that signs."""
    if down := outage_answer(world, target=PAYPAL_CERTIFICATES):
        return down
    assert world.signer is not None
    if request.path != f"/paypal{CERTIFICATES_PATH}{world.signer.name}.pem":
        raise Refused(404, "No such certificate.", code="resource_missing")
    return Response(status=200, body=world.signer.chain, content_type="application/x-pem-file")


def check_signature(params: Params) -> None:
    """Refuse a check without an event."""
    if not isinstance(params.get("webhook_event"), dict):
        raise Refused(400, "webhook_event is required.", param="/webhook_event")


def parse(body: bytes) -> Params:
    """JSON; an event handed back for verification keeps its bytes beside it."""
    params = json_params(body)
    if "webhook_event" in params:
        params[RAW_EVENT] = _raw_member(body.decode(), "webhook_event")
    return params


def _is_genuine(world: World, params: Params) -> bool:
    assert world.signer is not None
    webhook_id = world.config.endpoints[PAYPAL].secrets[0]
    given = {name: text(params, name, default="") for name in VERIFIED}
    if given["webhook_id"] != webhook_id or given["auth_algo"] != PAYPAL_ALGORITHM:
        return False
    if given["cert_url"] != certificate_address(world):
        return False
    signed = paypal_text(
        transmission_id=given["transmission_id"],
        time=given["transmission_time"],
        webhook_id=webhook_id,
        body=str(params[RAW_EVENT]).encode(),
    )
    try:
        mark = base64.b64decode(given["transmission_sig"], validate=True)
        world.signer.key.public_key().verify(mark, signed, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, InvalidSignature):
        return False
    return True


def _raw_member(document: str, wanted: str) -> str:
    """The text of one member of a JSON object, exactly as it stands there."""
    decoder = json.JSONDecoder()
    place = _blank(document, document.index("{") + 1)
    while document[place] != "}":
        name, place = decoder.raw_decode(document, place)
        start = _blank(document, _blank(document, place) + 1)
        _, place = decoder.raw_decode(document, start)
        if name == wanted:
            return document[start:place]
        place = _blank(document, place)
        if document[place] == ",":
            place = _blank(document, place + 1)
    raise Refused(400, f"{wanted} is missing.", code="parameter_missing", param=wanted)


def _blank(document: str, place: int) -> int:
    while document[place] in " \t\r\n":
        place += 1
    return place
