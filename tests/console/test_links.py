"""Answers of the trace: one line each, ids shortened and linked, everything else as text."""

from __future__ import annotations

from payops.console.templatetags.console_links import answer_lines

ENTRY = "je_01a1f866fa557cdc8510404dda53e457"


def test_answer_is_told_line_by_line_with_linked_ids():
    lines = answer_lines(f"payout.paid ({ENTRY}); PAID to EXCEPTION by amara")

    assert lines[0] == (
        f'payout.paid (<a class="mono" href="/ledger/journal/{ENTRY}/" title="{ENTRY}">'
        "je_01a1…53e457</a>)"
    )
    assert lines[1:] == ["PAID to EXCEPTION by amara"]


def test_hostile_words_of_an_answer_stay_text():
    assert answer_lines("<script>x</script>") == ["&lt;script&gt;x&lt;/script&gt;"]
