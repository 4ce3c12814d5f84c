"""What the shapes of requests and answers are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# PostgreSQL refuses NUL in a text; other control characters have no place in a name either.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
# Identifiers of cases, consultations and recordings.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,32}$")]
# A moment of a privacy verification: its camera's name and a number.
MomentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}-[0-9]{1,9}$")]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"^[^\x00]*$")
]
TrackName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Created(BaseModel):
    id: str
