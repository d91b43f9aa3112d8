"""Who calls the API: an internal system by its key, with the acts the key was granted (D5, AU-5).

Only the sha256 of a key is stored. A session cookie is nobody here, and a key is never a person:
no act of deciding, releasing or granting access has an address in this API, whatever the key says.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from payops.core.actors import Actor, service
from payops.core.models import ApiKey

SCHEME = "bearer"
TOKEN_CHARS_MAX = 200
REFUSED = "The API key is not known or was revoked."


class KeyRefused(AuthenticationFailed):
    """`api_key` is set when the key was ours once, so that the attempt can be told of somebody."""

    def __init__(self, api_key: ApiKey | None = None) -> None:
        super().__init__(REFUSED)
        self.api_key = api_key


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`. The caller is `request.auth`; `request.user` stays nobody."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        token = token.strip()
        if not 0 < len(token) <= TOKEN_CHARS_MAX:
            raise KeyRefused
        digest = hashlib.sha256(token.encode()).hexdigest()
        key = ApiKey.objects.select_related("book").filter(key_hash=digest).first()
        if key is None or not hmac.compare_digest(key.key_hash, digest):
            raise KeyRefused
        if key.revoked_at is not None:
            raise KeyRefused(key)
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="payops"'


class ActAllowed(BasePermission):
    """The key holds the act that the view names for the method; no act named, no way in."""

    def has_permission(self, request: Request, view: Any) -> bool:
        key, act = request.auth, view.acts.get(request.method)
        if key is None:
            return False
        if act is None:
            view.http_method_not_allowed(request)
        self.message = f"The key of {key.system} does not hold {act.value}."
        return key.allows(act)


def actor_of(key: ApiKey) -> Actor:
    return service(key.system, channel="api")
