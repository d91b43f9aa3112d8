"""The lanes of work, highest first.

`calls` carries what waits for a provider's answer, so that a silent provider holds up nobody else;
`housekeeping` carries the schedule's own tasks.
"""

LANES = ("high", "standard", "bulk", "calls", "housekeeping")
