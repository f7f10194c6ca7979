"""Kinds of evaluations that campaigns keep, each as the JSON object that it is."""

from __future__ import annotations

from typing import Final

from fire_core.storage.evaluation_kinds import json_kind

JUDGEMENT: Final = json_kind("judgement")
"""Errors of a kind of model (the subject) on a round's independent trajectory."""
GATE_RESULTS: Final = json_kind("gates")
"""Gate results of a model (the subject)."""
DECISION: Final = json_kind("decision")
"""Why a campaign ended."""
CANDIDATE_UNCERTAINTY: Final = json_kind("candidate_uncertainty")
"""What a round's candidates were expected to be wrong by."""
LABEL_UNCERTAINTY: Final = json_kind("label_uncertainty")
"""What a round's labels said of the uncertainties."""
REGRESSION: Final = json_kind("regression")
"""Errors of a model on newer labels; the subject is MODEL/DATE."""
