"""The page of properties."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
