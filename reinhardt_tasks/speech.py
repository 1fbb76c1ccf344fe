"""Translation for what may have to speak while Django is still loading: settings that are wrong, a schedule that cannot be."""

from __future__ import annotations

from django.core.exceptions import AppRegistryNotReady
from django.utils import translation


def gettext(message: str) -> str:
    """Return a message in the language that is activated; in English as long as no app's translations can be had."""
    try:
        return translation.gettext(message)
    except AppRegistryNotReady:
        return message
