"""The site's tables in Django's admin, to look at: they are written by the tasks."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from .models import FileCount, Letter, Run


class LookOnly(admin.ModelAdmin):
    list_select_related = ("run",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(LookOnly):
    list_display = ("__str__", "root", "started_at", "finished_at")
    list_select_related = False


@admin.register(FileCount)
class FileCountAdmin(LookOnly):
    list_display = ("path", "package", "lines", "classes", "functions", "imports", "run")
    list_filter = ("run",)
    search_fields = ("path", "package")


@admin.register(Letter)
class LetterAdmin(LookOnly):
    list_display = ("recipient", "refusals", "refusals_ahead", "sent_at", "run")
    list_filter = ("run",)
