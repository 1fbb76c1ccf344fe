"""The broker that keeps its jobs in one of the project's databases."""

from .broker import DatabaseBroker
from .results import DatabaseResultBackend

__all__ = ["DatabaseBroker", "DatabaseResultBackend"]
