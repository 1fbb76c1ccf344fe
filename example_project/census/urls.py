"""The addresses of the census pages."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "census"
urlpatterns = [
    path("", views.index, name="index"),
    path("runs/", views.begin, name="begin"),
    path("runs/<int:run_id>/", views.show, name="run"),
    path("runs/<int:run_id>/live.json", views.live, name="live"),
]
