"""Advice of a remote model, beside the rules' own and no more than that (AI-1, AI-9, AI-10, D1).

One case or record, one question, outside any transaction. Whatever goes wrong, work goes on without
it: the answer, or the reason why there is none, is one append-only row with model, prompt version,
input hash, time and cost. A day's cost is capped, and asking takes a fifth of a worker's time at
most, so that a slow model delays nobody.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from payops.cases import advice
from payops.cases.advice import About, Recommendation, Told
from payops.cases.models import Case
from payops.core import clock, ids
from payops.core.models import Message
from payops.core.queues import Postpone
from payops.triage import answers, endpoint, prompts, rules
from payops.triage.answers import AnswerDiscarded
from payops.triage.endpoint import Endpoint, NotAnswered
from payops.triage.prompts import Prompt

log = logging.getLogger(__name__)

ENGINE = "model"
VERSION = "1"
ASKED_WITHIN = timedelta(hours=1)
# Pauses four times as long as the last question took.
PAUSE_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and about which case or record."""

    prompt: Prompt
    case: Case | None = None
    about: About | None = None

    @property
    def is_answered(self) -> bool:
        """Asked before with this input, whatever came of it."""
        key = {"engine": ENGINE, "version": VERSION, "input_hash": self.prompt.input_hash}
        if self.case is not None:
            return advice.exists(case=self.case, **key)
        assert self.about is not None
        subject_id, about = self.about.subject_id, self.about.about
        return advice.kept(subject_id=subject_id, about=about, **key) is not None


def ask(batch: list[Message], now: datetime) -> None:
    """Ask about one case or record. Raises Postpone where asking later is worth it."""
    (message,) = batch
    at = endpoint.configured()
    if settings.PAYOPS_ADVICE != ENGINE or at is None:
        log.info("no model is asked: advice is %s", settings.PAYOPS_ADVICE)
        return
    question = _question(message.payload)
    if question is None or question.is_answered:
        return
    prompt = question.prompt
    _rest(now)
    sent = endpoint.request_body(at, system=prompt.system, user=prompt.user, schema=prompt.schema)
    most_micros = at.cost_micros(at.most_tokens(len(sent)))
    if refusal := _over_cap(at, most_micros, now):
        _discard(question, at, refusal, Told())
        return
    _ask(question, at, most_micros, message)


def _question(payload: dict[str, Any]) -> Question | None:
    """None where the rules' words on a record are not kept: there is nothing to stand beside."""
    if "case_id" in payload:
        rows = Case.objects.select_related("book")
        case = rows.get(pk=ids.parse(payload["case_id"], "cs")[1])
        return Question(prompts.prompt_of(case), case=case)
    row = advice.kept(engine=rules.ENGINE, **payload)
    if row is None:
        return None
    about = About(row.book, row.subject_id, row.about)
    return Question(prompts.prompt_about(row), about=about)


def _ask(question: Question, at: Endpoint, most_micros: int, message: Message) -> None:
    prompt = question.prompt
    began = clock.utc_now()
    try:
        reply = endpoint.ask(at, system=prompt.system, user=prompt.user, schema=prompt.schema)
    except NotAnswered as none:
        now = clock.utc_now()
        if none.again_s is not None and now - message.created_at < ASKED_WITHIN:
            words = f"the model did not answer: {none.reason}"
            raise Postpone(words, now + timedelta(seconds=none.again_s)) from none
        told = Told(
            answer=none.raw,
            took_ms=(now - began) // timedelta(milliseconds=1),
            cost_micros=most_micros if none.charged else 0,
        )
        _discard(question, at, none.reason, told)
        return
    cost = at.cost_micros(reply.tokens)
    told = Told(answer=reply.raw, took_ms=reply.took_ms, cost_micros=cost)
    try:
        said = answers.read_answer(reply.text, suggestions=prompt.suggestions)
    except AnswerDiscarded as refusal:
        _discard(question, at, str(refusal), told)
        return
    advice.write(
        case=question.case,
        about=question.about,
        engine=ENGINE,
        version=VERSION,
        input_hash=prompt.input_hash,
        input_facts=prompt.facts,
        summary=said.summary,
        likely_cause=said.likely_cause,
        next_step=said.next_step,
        suggests=said.suggests,
        told=_signed(told, at),
        now=clock.utc_now(),
    )


def _discard(question: Question, at: Endpoint, reason: str, told: Told) -> None:
    """Nobody is shown the answer; that there was one, and why it does not count, is kept."""
    advice.write(
        case=question.case,
        about=question.about,
        engine=ENGINE,
        version=VERSION,
        input_hash=question.prompt.input_hash,
        input_facts=question.prompt.facts,
        summary="",
        likely_cause="",
        next_step="",
        told=_signed(told, at),
        discarded=reason,
        now=clock.utc_now(),
    )


def _signed(told: Told, at: Endpoint) -> Told:
    return Told(
        model=at.model,
        prompt_version=prompts.VERSION,
        answer=told.answer,
        took_ms=told.took_ms,
        cost_micros=told.cost_micros,
    )


def _rest(now: datetime) -> None:
    """A slow model is asked less often; the lane goes on with what else waits."""
    last = Recommendation.objects.filter(engine=ENGINE, created_at__lte=now)
    found = last.order_by("-created_at").first()
    if found is None:
        return
    until = found.created_at + timedelta(milliseconds=found.took_ms * PAUSE_FACTOR)
    if now < until:
        raise Postpone("the model was asked a moment ago", until)


def _over_cap(at: Endpoint, most_micros: int, now: datetime) -> str:
    """Why this question is not asked today, "" when it may be; 0 is no cap."""
    if not at.daily_cost_cap_micros:
        return ""
    spent = advice.spent_micros(since=now.replace(hour=0, minute=0, second=0, microsecond=0))
    if spent + most_micros <= at.daily_cost_cap_micros:
        return ""
    return (
        f"the day's cap of {at.daily_cost_cap_micros} micros: {spent} are spent and one question "
        f"may cost {most_micros}"
    )
