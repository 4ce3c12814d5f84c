"""Who somebody is: passwords, the slowing of guesses, and sessions of which only a hash is kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select

from api.core import Core
from archive import audit
from archive.models import FailedLogin, Session, User, utc_now
from config.errors import NotLoggedIn, RequestRejected, TooManyAttempts

MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 256
TOKEN_BYTES = 32
# Wrong passwords older than this slow nobody any more, and what was typed is forgotten.
FORGET_FAILURES = dt.timedelta(days=1)

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The argon2id hash that is kept. Raises RequestRejected for a password that is too short or too long."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise RequestRejected(
            problem=f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters"
        )
    return _hasher.hash(password)


def authenticate(core: Core, username: str, password: str) -> User:
    """The user who proves to be ``username``.

    An unknown name, a closed account and a wrong password are told apart neither by the answer (NotLoggedIn)
    nor by the time it takes. After ``web.login_attempts`` wrong passwords each further try must wait for
    ``web.login_pause_s``: TooManyAttempts.
    """
    attempt = _begin_attempt(core, username)
    with core.catalog.read() as session:
        user = session.scalar(select(User).where(User.username == username))
    nobody = _nobody()
    genuine = _matches(user.password_hash if user else nobody, password)
    if user is None or not genuine or not user.active:
        with core.catalog.write() as session:
            audit.record(session, "anonymous", "login", user.id if user else "unknown", "refused")
        raise NotLoggedIn()
    with core.catalog.write() as session:
        session.execute(
            delete(FailedLogin).where(FailedLogin.username == username, FailedLogin.id <= attempt)
        )
        audit.record(session, user.id, "login", user.id)
    return user


def open_session(core: Core, user: User) -> str:
    """Log ``user`` in; returns the token, which is kept nowhere but with its bearer."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = utc_now()
    expires_at = now + dt.timedelta(hours=core.settings.web.session_hours)
    with core.catalog.write() as session:
        session.execute(delete(Session).where(Session.expires_at <= now))
        session.add(Session(token_sha256=_digest(token), user_id=user.id, expires_at=expires_at))
    return token


def user_of(core: Core, token: str) -> User | None:
    """Whose session a token opens; None when it opens none, or no longer."""
    with core.catalog.read() as session:
        return session.scalar(
            select(User)
            .join(Session, Session.user_id == User.id)
            .where(
                Session.token_sha256 == _digest(token), Session.expires_at > utc_now(), User.active.is_(True)
            )
        )


def close_session(core: Core, token: str) -> None:
    """Log out; a token that opens nothing is not an error."""
    with core.catalog.write() as session:
        session.execute(delete(Session).where(Session.token_sha256 == _digest(token)))


def _begin_attempt(core: Core, username: str) -> int:
    # The attempt is counted before the password is looked at: guesses sent all at once are slowed as well.
    web, now = core.settings.web, utc_now()
    with core.catalog.write() as session:
        if session.get_bind().dialect.name == "postgresql":
            # There, writers do not wait for each other by themselves, and would count past one another.
            session.execute(select(func.pg_advisory_xact_lock(func.hashtext(username))))
        session.execute(delete(FailedLogin).where(FailedLogin.at < now - FORGET_FAILURES))
        failures = session.scalars(
            select(FailedLogin.at).where(FailedLogin.username == username).order_by(FailedLogin.at.desc())
        ).all()
        if len(failures) >= web.login_attempts:
            wait_s = web.login_pause_s - (now - failures[0]).total_seconds()
            if wait_s > 0:
                raise TooManyAttempts(wait_s=math.ceil(wait_s))
        row = FailedLogin(username=username, at=now)
        session.add(row)
        session.flush()
        return row.id


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_hex())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
