"""The Celery application: it carries wake-ups and the schedule, never the truth (D4).

Every setting here answers a measured failure: see docs/adr/0003-postgresql-is-the-queue.md.
"""

from __future__ import annotations

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payops.settings")

from django.conf import settings

from payops.core.lanes import LANES

HARD_LIMIT_S = 120
SOFT_LIMIT_S = 100
SWEEP_S = 3.0
HOUSEKEEPING_S = 10.0
FOLD_S = 2.0

# Containers and fresh machines run as root; the worker unpickles nothing (JSON only, see below).
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("payops")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": HARD_LIMIT_S * 2,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_time_limit=HARD_LIMIT_S,
    task_soft_time_limit=SOFT_LIMIT_S,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # A drain goes on without the broker; ended, its rows would wait for their leases to run out.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # The default exchange needs no binding in the broker, so a wiped broker needs no repair.
    task_queues=[Queue(lane, Exchange(""), routing_key=lane) for lane in LANES],
    task_default_queue="housekeeping",
    task_default_exchange="",
    task_default_routing_key="housekeeping",
    task_create_missing_queues=False,
    timezone="UTC",
    imports=["payops.flows.tasks", "payops.monitoring.tasks"],
    beat_schedule={
        **{
            f"sweep-{lane}": {
                "task": "payops.drain_lane",
                "schedule": SWEEP_S,
                "args": [lane],
                "options": {"queue": lane, "expires": SWEEP_S * 2},
            }
            for lane in LANES
        },
        "housekeeping": {
            "task": "payops.housekeeping",
            "schedule": HOUSEKEEPING_S,
            "options": {"queue": "housekeeping", "expires": HOUSEKEEPING_S * 2},
        },
        "balances": {
            "task": "payops.fold_balances",
            "schedule": FOLD_S,
            "options": {"queue": "housekeeping", "expires": FOLD_S * 2},
        },
        "monitoring": {
            "task": "payops.monitoring",
            "schedule": HOUSEKEEPING_S,
            "options": {"queue": "housekeeping", "expires": HOUSEKEEPING_S * 2},
        },
    },
)
