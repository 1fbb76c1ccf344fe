"""What all pages share as ModelAdmins: their URLs under an admin site, their permissions, their answer where a store is away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import update_wrapper
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from ..exceptions import OperationRefused
from ..operations.stores import STORE_ERRORS
from .rights import Granted, rights_of
from .visits import Visit

Page = Callable[..., HttpResponse]


class PagesAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of our own in the place of those that Django makes of a model: not all of what they show are rows.

    To restrict them, subclass one and override `rights`.
    """

    rights_kind: ClassVar[type[Granted]]
    #: Route, view, and the end of the URL's name behind the model's.
    pages: ClassVar[list[tuple[str, Page, str]]]

    def rights(self, request: HttpRequest) -> Any:
        """Return what the user of a request may see and do."""
        return rights_of(request.user, self.rights_kind)

    def reading(self) -> AbstractContextManager[None]:
        """Return what is around each page: it raises QueueError where what is shown cannot be read."""
        return nullcontext()

    def get_urls(self) -> list[URLPattern]:
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        return [path(route, self._page(show), name=f"{prefix}_{name}") for route, show, name in self.pages]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.rights(request).view)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(self.rights(request).view)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Rows are never saved by Django's own forms: a worker may hold them.
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _page(self, show: Page) -> Page:
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            visit = Visit(request, self.admin_site, self.rights(request))
            visit.require("view")
            kwargs = {key: unquote(value) for key, value in kwargs.items()}
            for _name, values in (*request.GET.lists(), *request.POST.lists()):
                if any("\x00" in value for value in values):
                    # No name and no id has one, and PostgreSQL takes none.
                    raise BadRequest
            try:
                with self.reading():
                    return show(visit, *args, **kwargs)
            except STORE_ERRORS as exc:
                return visit.render("away.html", _("A store is away"), problem=str(exc), status=503)
            except OperationRefused as exc:
                return visit.render("away.html", _("This cannot be done"), problem=str(exc), status=400)

        return self.admin_site.admin_view(update_wrapper(page, show))
