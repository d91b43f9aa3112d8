"""Settings of a real web process that serves the webhook addresses alone."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.webhooks.no_site"
PAYOPS_TOPICS = "tests.webhooks.topics.TOPICS"
MIDDLEWARE = ["payops.webhooks.edge.WebhookEdge"]
