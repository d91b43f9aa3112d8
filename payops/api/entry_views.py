"""The addresses of entries: posting one, reading one (LJ-13, LJ-16, AU-11)."""

from __future__ import annotations

from functools import partial

from django.http import HttpResponse
from rest_framework.request import Request

from payops.api import idempotency, ledger_entry, reads, schema
from payops.api.entry_serializers import EntryAnswer
from payops.api.ledger_entry import NotYet, Told
from payops.api.parsing import facts_of
from payops.api.problems import json_answer
from payops.api.views import ApiView
from payops.core.roles import Act

REQUEST_ID = "X-Request-Id"


class Entries(ApiView):
    """Posting what a system knows happened; the matrix makes the lines."""

    http_method_names = ["post"]
    acts = {"POST": Act.POST_ENTRY}
    operations = {"POST": "post_entry"}

    @schema.post_entry
    def post(self, request: Request) -> HttpResponse:
        key = idempotency.key_from(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        call = idempotency.Call(request.auth, "post_entry", key, facts_of(request))
        request_id = ledger_entry.request_id_from(request.META.get("HTTP_X_REQUEST_ID"))
        told = Told(call, request_id)
        act = partial(ledger_entry.post, told, now=self.now)
        try:
            given = idempotency.once(call=call, act=act, now=self.now)
        except NotYet as refused:
            raise ledger_entry.explain(told, refused, now=self.now) from refused
        self.is_recorded = True
        headers = {REQUEST_ID: request_id}
        if given.replayed:
            headers["Idempotent-Replayed"] = "true"
        if given.subject_id:
            headers["Location"] = f"/api/ledger/entries/{given.subject_id}/"
        return json_answer(given.body, status=given.status, headers=headers)


class EntryRecord(ApiView):
    """One entry with its lines and trace keys, as it stands now."""

    operations = {"GET": "read_entry", "HEAD": "read_entry"}

    @schema.read_entry
    def get(self, request: Request, public_id: str) -> HttpResponse:
        entry = reads.entry_of(request.auth.book, public_id)
        return json_answer(EntryAnswer(entry).data, status=200)
