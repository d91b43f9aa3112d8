"""Loads the advice table with the application that writes it."""

from payops.cases.advice import Recommendation

__all__ = ["Recommendation"]
