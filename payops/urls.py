"""Addresses of the product."""

from django.urls import path

urlpatterns: list = []
