"""The lanes of work, highest first. `housekeeping` carries the schedule's own tasks."""

LANES = ("high", "standard", "bulk", "housekeeping")
