"""The pages about workflows."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..operations.workflows import reading_workflows
from . import workflow_pages
from .pages import PagesAdmin
from .rights import WorkflowRights


class WorkflowsAdmin(PagesAdmin):
    """Workflows are rows whatever runs their steps; `workflows/` alone writes them."""

    rights_kind = WorkflowRights
    pages = [
        ("", workflow_pages.show_list, "changelist"),
        ("<path:id_>/change/", workflow_pages.show, "change"),
        ("<path:id_>/act/", workflow_pages.act, "act"),
    ]

    def reading(self) -> AbstractContextManager[None]:
        return reading_workflows()
