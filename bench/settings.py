"""The product's own settings; the webhook edge first among the middleware, as it must stand."""

from payops.settings import *  # noqa: F403
from payops.settings import MIDDLEWARE as _MIDDLEWARE

_EDGE = "payops.webhooks.edge.WebhookEdge"
MIDDLEWARE = [_EDGE, *(each for each in _MIDDLEWARE if each != _EDGE)]
