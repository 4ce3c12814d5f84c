"""What is wrong with a document that people or programs wrote, as pydantic found it."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError, whole: str = "") -> str:
    """The first place that is wrong and why, without quoting what stands there; ``whole`` names the document itself."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    return f"{place}: {first['msg']}"
