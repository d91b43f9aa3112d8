"""The least a Django team would write: verify, insert one row, answer; and an empty view.

One table, unique by event id, `objects.create`, a duplicate is an IntegrityError. Django's usual
middleware. No receipt per delivery, no encryption, no batch, no message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

url = urlsplit(os.environ["BENCH_PEER_DATABASE"])
settings.configure(
    SECRET_KEY="bench",  # noqa: S106
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "PASSWORD": url.password,
            "HOST": url.hostname,
            "PORT": url.port,
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.db import IntegrityError, models, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

SECRET = os.environ["BENCH_SECRET"].encode()


class Event(models.Model):
    event_id = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=120)
    body = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "bench"
        db_table = "bench_event"
        managed = False


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    raw = request.body
    parts = dict(part.split("=", 1) for part in request.headers["Stripe-Signature"].split(","))
    mac = hmac.new(SECRET, parts["t"].encode() + b"." + raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(mac, parts["v1"]) or abs(time.time() - int(parts["t"])) > 300:
        return HttpResponse(status=401)
    event = json.loads(raw)
    try:
        with transaction.atomic():
            Event.objects.create(event_id=event["id"], kind=event["type"], body=raw.decode())
    except IntegrityError:
        pass
    return HttpResponse(status=200)


@csrf_exempt
def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=200)


urlpatterns = [path("bare/", bare), path("nothing/", nothing)]
application = get_wsgi_application()
