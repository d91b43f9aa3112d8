"""The lanes of work, highest first.

`calls` carries what waits for a provider's answer and `outside` what waits for ticket systems,
chat, mail or a model, so that a silent one of them holds up nobody else; `housekeeping` carries the
schedule's own tasks.
"""

LANES = ("high", "standard", "bulk", "calls", "outside", "housekeeping")
