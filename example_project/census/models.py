"""The site's own tables: a run, what it counted, and the letters that it sends. How far it is, its workflow knows."""

from __future__ import annotations

from django.db import models
from django.urls import reverse


class Run(models.Model):
    """One census of one source tree."""

    root = models.CharField(max_length=1000)
    name = models.CharField(max_length=200)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    size = models.BigIntegerField("size in bytes", null=True, blank=True)
    headline = models.TextField(blank=True)
    workflow_id = models.CharField(max_length=64, default="", editable=False)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"Census {self.pk} of {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("census:run", args=[self.pk])


class FileCount(models.Model):
    """What one file holds. A file counted twice is one row: tasks are delivered at least once."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="file_counts")
    path = models.CharField(max_length=1000)
    package = models.CharField(max_length=400)
    lines = models.PositiveIntegerField()
    classes = models.PositiveIntegerField()
    functions = models.PositiveIntegerField()
    imports = models.PositiveIntegerField()
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ("path",)
        constraints = (models.UniqueConstraint(fields=("run", "path"), name="census_file_once_per_run"),)

    def __str__(self) -> str:
        return self.path


class Letter(models.Model):
    """A notice to one reader, and how often the post office turned it away before it took it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="letters")
    recipient = models.EmailField()
    refusals_ahead = models.PositiveSmallIntegerField()
    refusals = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("run", "recipient"), name="census_letter_once_per_run"),)

    def __str__(self) -> str:
        return self.recipient
