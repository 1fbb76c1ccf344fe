"""Moving in: what lies in the tables of another task system becomes schedules and tasks here. For `manage.py tasks import`.

Each source is read through its own models, where its app is installed; importing this needs none of them.
"""

from __future__ import annotations

from .choices import Choices
from .findings import Found, Verdict
from .sources import SOURCES, Source, chosen_sources

__all__ = ["SOURCES", "Choices", "Found", "Source", "Verdict", "chosen_sources"]
