"""One request to one of the pages: who asks, on which admin site, and how an answer is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

#: Page → its label in the row of tabs, and the end of its URL's name, which begins with its model's.
TABS = {
    "overview": (_("Overview"), "jobrow_changelist"),
    "tasks": (_("Tasks"), "jobrow_tasks"),
    "queues": (_("Queues"), "jobrow_queues"),
    "workers": (_("Workers"), "jobrow_workers"),
    "failures": (_("Failures"), "jobrow_failures"),
    "schedules": (_("Schedules"), "schedulerow_changelist"),
    "workflows": (_("Workflows"), "workflowrow_changelist"),
}


@dataclass(frozen=True)
class Visit:
    """What every page is given."""

    request: HttpRequest
    site: AdminSite
    #: The Granted of the page's kind.
    rights: Any

    def require(self, right: str) -> None:
        """Raise PermissionDenied where the user lacks a right."""
        if not self.rights.has(right):
            raise PermissionDenied

    def url(self, name: str, *args: str, query: Mapping[str, Any] | None = None) -> str:
        """Return the URL of a page by the end of its name, such as `jobrow_tasks`."""
        path = reverse(f"admin:reinhardt_tasks_{name}", args=[quote(arg) for arg in args], current_app=self.site.name)
        asked = {key: value for key, value in (query or {}).items() if value not in ("", None)}
        return f"{path}?{urlencode(asked)}" if asked else path

    def render(
        self, template: str, title: Any, tab: str = "", *, status: int | None = None, **context: Any
    ) -> HttpResponse:
        """Return a page in the admin's frame."""
        # Reversing in the templates stays on this site.
        self.request.current_app = self.site.name
        shown = {
            **self.site.each_context(self.request),
            "title": title,
            "subtitle": None,
            "tab": tab,
            "tabs": self._tabs(),
            "rights": self.rights,
            **context,
        }
        return TemplateResponse(self.request, f"admin/reinhardt_tasks/{template}", shown, status=status)

    def part(self, template: str, **context: Any) -> HttpResponse:
        """Return a page's part that refreshes itself, without the frame."""
        self.request.current_app = self.site.name
        return TemplateResponse(self.request, f"admin/reinhardt_tasks/{template}", {"rights": self.rights, **context})

    @property
    def wants_part(self) -> bool:
        return "part" in self.request.GET

    def redirect(self, url: str) -> HttpResponse:
        return HttpResponseRedirect(url)

    def say(self, words: str, level: int = messages.SUCCESS) -> None:
        messages.add_message(self.request, level, words)

    def _tabs(self) -> list[tuple[str, Any, str]]:
        return [(name, label, self.url(url)) for name, (label, url) in TABS.items() if self.may_see(url)]

    def may_see(self, url: str) -> bool:
        """Return whether the site has a page, and the user may look at it."""
        model = apps.get_model("reinhardt_tasks", url.partition("_")[0])
        try:
            return self.site.get_model_admin(model).has_view_permission(self.request)
        except NotRegistered:
            return False
