"""The page of structures."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
