"""Addresses of the work screens: my work, cases, approvals, payout and bank-detail acts, settings.

`payops.console.urls` includes this list at the root.
"""

from __future__ import annotations

from django.urls import path

urlpatterns: list = []
