"""One request to one of the pages: who asks, on which admin site, and how an answer is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from ..exceptions import OperationRefused
from ..jobs import TaskId
from ..suggestions import did_you_mean

D = TypeVar("D")

#: Page → its label in the row of tabs, and the end of its URL's name, which begins with its model's.
TABS = {
    "overview": (gettext_lazy("Overview"), "jobrow_changelist"),
    "tasks": (gettext_lazy("Tasks"), "jobrow_tasks"),
    "queues": (gettext_lazy("Queues"), "jobrow_queues"),
    "workers": (gettext_lazy("Workers"), "jobrow_workers"),
    "failures": (gettext_lazy("Failures"), "jobrow_failures"),
    "schedules": (gettext_lazy("Schedules"), "schedulerow_changelist"),
    "workflows": (gettext_lazy("Workflows"), "workflowrow_changelist"),
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

    def away(self, away: Mapping[str, str], tab: str = "", **context: Any) -> HttpResponse:
        """Return the page that says which stores (alias → why) could not be asked, where nothing can be shown without them."""
        return self.render("away.html", gettext("A store is away"), tab, away=away, status=503, **context)

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


def deed_of(posted: QueryDict, known: Mapping[str, D]) -> D:
    """Return what stands for the pressed button. Raise OperationRefused for one that there is not."""
    name = str(posted.get("deed", ""))
    if name not in known:
        raise OperationRefused(
            gettext("There is no action {name}{hint}.").format(name=repr(name), hint=did_you_mean(name, known))
        )
    return known[name]


def after_of(asked: QueryDict) -> str | None:
    """Return the id behind which a page or a long work goes on, if any. Raise Http404 for what is none."""
    try:
        return str(TaskId(str(asked["after"]))) if asked.get("after") else None
    except ValueError as exc:
        raise Http404 from exc


def needs_post(work: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return what does something only where a button was pressed: somebody who had to log in first comes without that."""

    @wraps(work)
    def page(visit: Visit, *args: Any, **kwargs: Any) -> HttpResponse:
        if visit.request.method == "POST":
            return work(visit, *args, **kwargs)
        problem = gettext("Nothing was done: go back, and press the button again.")
        response = visit.render("away.html", gettext("This cannot be done"), problem=problem, status=405)
        response.headers["Allow"] = "POST"
        return response

    return page
