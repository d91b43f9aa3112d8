"""WSGI entry point of the web processes: the webhook door first, the site behind it.

With a collector of spans every request goes through the site's middleware, which makes them.
Over a database that was restored from elsewhere nothing is served.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payops.settings")

application = get_wsgi_application()

from django.conf import settings  # noqa: E402

from payops.commands import restored  # noqa: E402

restored.refuse_start()
if not settings.OTLP_ENDPOINT:
    from payops.monitoring.request_times import webhook_answered
    from payops.webhooks.edge import Door

    application = Door(application, watch=webhook_answered)
