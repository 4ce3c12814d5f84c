"""Who logs in, and who may."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas.base import Name, Request
from archive.models import User
from archive.terms import Role


class LoginRequest(Request):
    username: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class LoginAnswer(BaseModel):
    token: str


class UserRequest(Request):
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$")]
    name: Annotated[Name, Field(max_length=64)]
    role: Role
    password: Annotated[str, Field(min_length=1, max_length=256)]


class UserAnswer(BaseModel):
    id: str
    username: str
    name: str
    role: Role
    base: str

    @classmethod
    def of(cls, user: User) -> UserAnswer:
        return cls(id=user.id, username=user.username, name=user.name, role=user.role, base=user.base_code)
