"""The table of message topics: which news goes to which handler, in which lane, how often."""

from __future__ import annotations

from payops.core.topics import Topic

TOPICS: list[Topic] = []
