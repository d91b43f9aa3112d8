"""Addresses of the API. The last line keeps every other one under /api/ in problem+json."""

from __future__ import annotations

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from payops.api import entry_views, refund_views, views

urlpatterns = [
    path("payouts/", views.Payouts.as_view(), name="api-payouts"),
    path("payouts/<str:public_id>/", views.PayoutRecord.as_view(), name="api-payout"),
    path("refund-requests/", refund_views.RefundRequests.as_view(), name="api-refunds"),
    path(
        "refund-requests/<str:public_id>/",
        refund_views.RefundRecord.as_view(),
        name="api-refund",
    ),
    path(
        "payments/<str:public_id>/refundable/",
        refund_views.Refundable.as_view(),
        name="api-refundable",
    ),
    path("cases/<str:public_id>/", views.CaseRecord.as_view(), name="api-case"),
    path("approvals/<str:public_id>/", views.ApprovalRecord.as_view(), name="api-approval"),
    path("ledger/entries/", entry_views.Entries.as_view(), name="api-entries"),
    path("ledger/entries/<str:public_id>/", entry_views.EntryRecord.as_view(), name="api-entry"),
    path("trace/<path:text>/", views.Trace.as_view(), name="api-trace"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    re_path(r"^.*$", views.no_such_address),
]
