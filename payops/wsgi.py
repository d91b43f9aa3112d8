"""WSGI entry point of the web processes."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payops.settings")

# Makes it the current Celery application: without it wake-ups would look for another broker.
from payops import celery  # noqa: F401

application = get_wsgi_application()
