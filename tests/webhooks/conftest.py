from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from payops.core.topics import topic_table
from payops.webhooks.directory import directory
from payops.webhooks.outage import outage
from payops.webhooks.throttle import throttle


@pytest.fixture(autouse=True)
def edge_alone(settings: Any) -> Iterator[None]:
    """Only the webhook addresses, one topic, and nothing remembered from the test before."""
    settings.ROOT_URLCONF = "tests.webhooks.no_site"
    settings.PAYOPS_TOPICS = "tests.webhooks.topics.TOPICS"
    settings.MIDDLEWARE = ["payops.webhooks.edge.WebhookEdge"]
    topic_table.cache_clear()
    directory.forget()
    throttle.forget()
    outage.end()
    yield
    topic_table.cache_clear()
    directory.forget()


@pytest.fixture
def owner() -> Iterator[psycopg.Connection[Any]]:
    """A session of the schema's owner, who may do what the product may not."""
    told = connections["owner"].settings_dict
    with psycopg.connect(
        dbname=told["NAME"],
        user=told["USER"],
        password=told["PASSWORD"],
        host=told["HOST"],
        port=told["PORT"],
        autocommit=True,
    ) as link:
        yield link
