"""What a manager decided about withdrawn footage reaches the station: it erases what it still holds, and says so."""

from __future__ import annotations

import contextlib

import structlog

from capture.core import Core
from capture.delivery import Delivery
from capture.spool import Spool
from config.errors import Conflict, ConsentRefused, InputRejected, NotFound, NotReady

ASKED_AT_ONCE = 50  # what fits well into one address
_log = structlog.get_logger(__name__)


def carry_out_decisions(core: Core, spool: Spool, room: str) -> None:
    """Ask which consultations, of those whose footage lies here, are erased at the core; erase them, then confirm.

    Cut off at any point it is simply done again. A session is only erased that the core refuses for want of consent, that was
    withdrawn here, or of which the core had everything: one wrong answer costs nothing. What another process
    works on, and what cannot be removed now, waits for the next call. Raises what keeps every request from going on.
    """
    held = spool.held_consultations()
    for begin in range(0, len(held), ASKED_AT_ONCE):
        asked = held[begin : begin + ASKED_AT_ONCE]
        try:
            erased = core.erased_among(asked)
        except NotFound:
            return  # an older core
        for consultation in sorted(set(asked) & erased):
            _ask_about_the_rest(core, spool, consultation)
            with contextlib.suppress(NotReady):
                spool.erase(consultation)
    for erasure in spool.erasures():
        try:
            core.confirm_erased(erasure, room)
        except (NotFound, Conflict, InputRejected) as error:
            _log.warning("erasure_not_confirmed", consultation=erasure.consultation, code=error.code)
            continue
        spool.mark_erased_told(erasure.consultation)


def _ask_about_the_rest(core: Core, spool: Spool, consultation: str) -> None:
    """Sessions that wait though nothing more of them may be wanted: one that was interrupted after all of it was sent."""
    for session in spool.unfinished():
        if session.consultation == consultation and session.state == "waiting":
            try:
                Delivery(core, spool, session.local).ask_again()
            except ConsentRefused as error:
                spool.refuse(session.local, error)
            except (NotFound, Conflict, InputRejected) as error:
                _log.warning("not_asked", local=session.local, code=error.code)
