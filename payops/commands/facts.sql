-- The schema `facts`: read-only views with stable columns for BI tools and auditors.
-- Dropped before and recreated after every migration; docs/interfaces.md promises the columns.
CREATE SCHEMA IF NOT EXISTS facts;

CREATE VIEW facts.receipts AS
SELECT payops_public_id('wd', d.id) AS id, d.created_at, b.code AS book, a.provider,
  a.slug AS account, CASE WHEN e.id IS NULL THEN NULL ELSE payops_public_id('ev', e.id) END
  AS event_id, d.provider_event_id, d.signature_ok, d.signature_reason, d.allowlist_ok,
  d.duplicate, d.sha256, d.size_bytes, d.status_sent, d.trace_id, d.channel
FROM webhooks_delivery d
JOIN core_book b ON b.id = d.book_id
JOIN core_provideraccount a ON a.id = d.account_id
LEFT JOIN webhooks_providerevent e ON e.book_id = d.book_id AND e.account_id = d.account_id
  AND e.dedupe_key = d.dedupe_key AND d.dedupe_key <> '';

CREATE VIEW facts.events AS
SELECT payops_public_id('ev', e.id) AS id, e.created_at, b.code AS book, a.provider,
  a.slug AS account, e.provider_event_id, e.dedupe_key, e.fingerprint, e.type, e.state,
  e.outcome, e.attempts, e.lane, e.occurred_at, e.finished_at, e.subject_id, e.trace_id,
  (SELECT count(*) FROM webhooks_delivery d WHERE d.book_id = e.book_id
    AND d.account_id = e.account_id AND d.dedupe_key = e.dedupe_key) AS receipts
FROM webhooks_providerevent e
JOIN core_book b ON b.id = e.book_id
JOIN core_provideraccount a ON a.id = e.account_id;

CREATE VIEW facts.payments AS
SELECT payops_public_id('pa', p.id) AS id, p.created_at, b.code AS book, a.provider,
  a.slug AS account, p.state, p.provider_ref, p.merchant_ref, p.amount_minor, p.captured_minor,
  p.reserved_minor, p.refunded_minor, p.over_refunded_minor, p.fee_minor, p.platform_fee_minor, p.currency, payops_public_id('be', p.beneficiary_id)
  AS beneficiary_id, p.captured_at
FROM payments_payment p
JOIN core_book b ON b.id = p.book_id
JOIN core_provideraccount a ON a.id = p.account_id;

CREATE VIEW facts.payouts AS
SELECT payops_public_id('po', p.id) AS id, p.created_at, b.code AS book, a.provider,
  a.slug AS account, p.amount_minor, p.currency, p.state, p.exception_from, p.provider_ref,
  p.merchant_ref, payops_public_id('be', p.beneficiary_id) AS beneficiary_id, p.approval_id,
  CASE WHEN p.reissue_of_id IS NULL THEN NULL
    ELSE payops_public_id('po', p.reissue_of_id) END AS reissue_of_id,
  p.failure_code, p.initiated_at, p.paid_at, p.failed_at, p.money_back_at,
  p.verified_terminal_at
FROM payments_payout p
JOIN core_book b ON b.id = p.book_id
JOIN core_provideraccount a ON a.id = p.account_id;

CREATE VIEW facts.refunds AS
SELECT payops_public_id('rf', r.id) AS id, r.created_at, b.code AS book, a.provider,
  a.slug AS account, payops_public_id('pa', r.payment_id) AS payment_id, r.amount_minor,
  r.currency, r.state, r.source, r.reason_code, r.request_key, r.ticket_system, r.ticket_ref,
  p.name AS requested_by, r.ruleset, r.approval_id, r.provider_ref, r.promise_id,
  CASE WHEN r.retry_of_id IS NULL THEN NULL ELSE payops_public_id('rf', r.retry_of_id) END
  AS retry_of_id, r.obligation, r.offline, r.goodwill, r.failure_code, r.refusal,
  r.dispatched_at, r.accepted_at, r.succeeded_at, r.failed_at, r.money_back_at
FROM payments_refund r
JOIN core_book b ON b.id = r.book_id
JOIN core_provideraccount a ON a.id = r.account_id
LEFT JOIN core_person p ON p.id = r.requested_by_id;

CREATE VIEW facts.refund_decisions AS
SELECT payops_public_id('rd', d.id) AS id, d.created_at, b.code AS book,
  payops_public_id('rf', d.refund_id) AS refund_id, d.stage, d.verdict, d.ruleset, d.words,
  d.checks
FROM payments_refunddecision d JOIN core_book b ON b.id = d.book_id;

CREATE VIEW facts.disputes AS
SELECT payops_public_id('dp', d.id) AS id, d.created_at, b.code AS book, a.provider,
  a.slug AS account, payops_public_id('pa', d.payment_id) AS payment_id, d.amount_minor,
  d.currency, d.state, d.provider_ref, d.reason_code, d.borne_by, d.round, d.hold_minor,
  d.refunded_before_minor, d.evidence_due_at, d.evidence_sent_at, d.opened_at, d.withdrawn_at,
  d.returned_at, d.decided_at
FROM payments_dispute d
JOIN core_book b ON b.id = d.book_id
JOIN core_provideraccount a ON a.id = d.account_id;

CREATE VIEW facts.intents AS
SELECT payops_public_id('it', i.id) AS id, i.created_at, b.code AS book, i.kind, i.subject_id,
  i.idempotency_key, i.request_hash, i.state, i.approval_id, i.provider_ref
FROM payments_intent i JOIN core_book b ON b.id = i.book_id;

CREATE VIEW facts.provider_calls AS
SELECT payops_public_id('pc', c.id) AS id, c.created_at, b.code AS book,
  payops_public_id('it', c.intent_id) AS intent_id, c.operation, c.attempt, c.outcome,
  c.status_code, c.error_code, c.provider_ref, c.finished_at
FROM payments_providercall c JOIN core_book b ON b.id = c.book_id;

CREATE VIEW facts.cases AS
SELECT payops_public_id('cs', c.id) AS id, c.created_at, b.code AS book, c.rule, c.fingerprint,
  c.period, c.subject_id, c.state, c.root_cause, c.disposition, c.priority,
  c.owner_id::text AS owner, c.due_at, c.resolution, c.resolved_at, c.approval_id
FROM cases_case c JOIN core_book b ON b.id = c.book_id;

CREATE VIEW facts.case_entries AS
SELECT e.id::text AS id, e.created_at, b.code AS book, payops_public_id('cs', e.case_id)
  AS case_id, e.kind, e.text, e.refers_to, e.person_id::text AS person, e.service
FROM cases_caseentry e JOIN core_book b ON b.id = e.book_id;

CREATE VIEW facts.approvals AS
SELECT payops_public_id('ap', r.id) AS id, r.created_at, b.code AS book, r.kind, r.subject_id,
  r.tier, r.seats, r.state, r.content_hash, r.requested_by_id::text AS requested_by,
  r.amount_minor, r.currency, r.expires_at, r.decided_at, r.executed_at
FROM approvals_approvalrequest r JOIN core_book b ON b.id = r.book_id;

CREATE VIEW facts.decisions AS
SELECT payops_public_id('ad', d.id) AS id, d.created_at, b.code AS book,
  payops_public_id('ap', d.request_id) AS approval_id, d.person_id::text AS person,
  d.seat AS role, d.verdict, d.content_hash, d.policy_version
FROM approvals_approvaldecision d JOIN core_book b ON b.id = d.book_id;

CREATE VIEW facts.entries AS
SELECT payops_public_id('je', e.id) AS id, e.created_at, b.code AS book, e.event_class,
  e.matrix_version, e.idempotency_key, e.fingerprint, e.subject_id, e.movement_ref, e.event_id,
  e.case_id, e.approval_id, e.posting_on, e.occurred_at,
  CASE WHEN e.reverses_id IS NULL THEN NULL ELSE payops_public_id('je', e.reverses_id) END
  AS reverses_id, e.trace_id
FROM ledger_journalentry e JOIN core_book b ON b.id = e.book_id;

CREATE VIEW facts.lines AS
SELECT payops_public_id('jl', l.id) AS id, l.created_at, b.code AS book,
  payops_public_id('je', l.entry_id) AS entry_id, a.code AS account, l.party, l.currency,
  greatest(l.amount_minor, 0) AS debit_minor, greatest(-l.amount_minor, 0) AS credit_minor,
  l.reporting_minor, l.posting_on
FROM ledger_journalline l
JOIN core_book b ON b.id = l.book_id
JOIN ledger_account a ON a.id = l.account_id;

CREATE VIEW facts.manual_journals AS
SELECT payops_public_id('mj', m.id) AS id, m.created_at, b.code AS book, m.state, m.event_class,
  m.description, m.posting_on, m.auto_reverse_on, m.fingerprint, m.approval_id,
  nullif(m.entry_id, '') AS entry_id, nullif(m.reverses_id, '') AS reverses_id,
  nullif(m.reversal_entry_id, '') AS reversal_entry_id,
  m.requested_by_id::text AS requested_by
FROM ledger_manualjournal m JOIN core_book b ON b.id = m.book_id;

CREATE VIEW facts.periods AS
SELECT payops_public_id('pe', p.id) AS id, p.created_at, b.code AS book, p.code, p.starts_on,
  p.ends_on, p.state, p.locked_at
FROM ledger_accountingperiod p JOIN core_book b ON b.id = p.book_id;

CREATE VIEW facts.revaluations AS
SELECT payops_public_id('rv', r.id) AS id, r.created_at, b.code AS book,
  payops_public_id('pe', r.period_id) AS period_id, r.run_no, r.as_of_on,
  payops_public_id('rv', r.reverses_id) AS reverses_id, r.rates, r.gain_minor, r.loss_minor,
  r.entries, r.person_id::text AS person
FROM ledger_revaluationrun r JOIN core_book b ON b.id = r.book_id;

CREATE VIEW facts.exports AS
SELECT payops_public_id('xp', x.id) AS id, x.created_at, b.code AS book, x.target, x.reference,
  x.mode, x.state, x.from_on, x.to_on, x.entries, x.totals, f.attempt, f.mapping_version,
  f.filename, f.sha256, x.erp_words, x.requested_by_id::text AS requested_by
FROM ledger_export x
JOIN core_book b ON b.id = x.book_id
LEFT JOIN LATERAL (SELECT * FROM ledger_exportfile made WHERE made.export_id = x.id
  ORDER BY made.attempt DESC LIMIT 1) f ON true;

CREATE VIEW facts.export_items AS
SELECT payops_public_id('je', i.entry_id) || '/' || i.target AS id, x.created_at, b.code AS book,
  payops_public_id('je', i.entry_id) AS entry_id, payops_public_id('xp', x.id) AS export_id,
  x.reference, i.target, i.document_no
FROM ledger_exportitem i
JOIN ledger_export x ON x.id = i.export_id
JOIN core_book b ON b.id = x.book_id;

CREATE VIEW facts.audit AS
SELECT payops_public_id('ae', a.id) AS id, a.created_at, b.code AS book, s.seq,
  coalesce(a.person_id::text, a.service) AS actor, a.login, a.channel, a.action, a.subject_id,
  a.from_state, a.to_state, a.reason, a.trace_id, a.content_hash, s.hash
FROM core_auditevent a
JOIN core_book b ON b.id = a.book_id
LEFT JOIN core_auditseal s ON s.audit_id = a.id;
