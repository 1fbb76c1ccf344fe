"""Pages for people, in Django's admin: queues, tasks, workers and failures of every backend.

Django imports this module by itself, and the pages are on `admin.site`. A site of one's own is given them by `register(site)`.
"""

from __future__ import annotations

from django.contrib import admin

from .registering import register

__all__ = ["register"]

register(admin.site)
