"""Every error Yian raises on purpose, drawn as one tree.

    YianError
    ├── SettingsInvalid                 the settings file or environment is wrong
    ├── InputRejected  (422)            what was handed in cannot be used
    │   ├── MediaRejected               NotMedia Truncated NoVideo NoAudio EmptyMedia ImplausibleDuration TooLong
    │   │                               FaceCountWrong, PhotoTooPoor
    │   ├── ConsentFormRejected         RigRejected  RequestRejected  EditsRejected TranscriptRejected
    │   ├── SpectrumRejected            CalibrationRejected AttachmentRejected
    ├── ConsentRefused (403)            ConsentMissing ConsentWithdrawn ConsentExpired PurposeNotGranted
    │                                   VisitCancelled
    ├── Conflict       (409)            IllegalTransition AlreadyDecided SamePerson ProducerMayNotApprove
    │                                   AlreadyExists RecordingClosed VerificationFailed ChecksumMismatch
    │                                   SegmentsMissing PackageChanged NotTheExpert VerificationChanged
    │                                   AlreadyResolved MomentUnseen NotReady BaseKeyChanged
    │                                   HalfDayFull ConsentFormChanged KeptByLaw PlanOverlaps
    ├── AccessRefused  (401/403/404)    NotLoggedIn Forbidden GrantMissing NotFound TooManyAttempts
    ├── PackageInvalid (409)            the archived bytes differ from what was signed
    ├── Unavailable    (503, transient) StoreUnavailable DatabaseUnavailable CoreUnreachable AddressTaken DiskFull
    └── ToolFailed     (500)            FfmpegMissing ModelMissing DeviceFailed PyannoteMissing
        │                               PyannoteWeightsMissing
        └── ChildFailed                 ChildCrashed ChildTimedOut ChildOutOfMemory Cancelled PoisonCase

An error carries data, never prose: the words (what failed, what is safe, what to do next) come from the
message catalogue under ``error.<code>`` and ``error.<code>.next``, in Chinese and English. Libraries' errors
are translated once, at the edge where the library is called.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

Value = str | int | float | bool | None


class YianError(Exception):
    """Root of the tree.

    ``code`` names the message; ``status`` is the HTTP status it maps to; ``transient`` says that the same
    call may succeed later without anybody changing anything.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    transient: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def __init__(self, **data: Value) -> None:
        super().__init__(data)
        self.data: dict[str, Value] = data

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.data.items())
        return f"{self.code} ({facts})" if facts else self.code

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.data)

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data, for a child process to hand to its parent."""
        return {"code": self.code, "data": self.data}


def _rebuild(kind: type[YianError], data: dict[str, Value]) -> YianError:
    return kind(**data)


def error_kinds() -> dict[str, type[YianError]]:
    """Every class of the tree by its code."""
    found: dict[str, type[YianError]] = {"internal": YianError}
    queue: list[type[YianError]] = [YianError]
    while queue:
        for kind in queue.pop().__subclasses__():
            found[kind.code] = kind
            queue.append(kind)
    return found


def error_from_dict(raw: dict[str, Any]) -> YianError:
    """The inverse of :meth:`YianError.to_dict`; an unknown code becomes a plain YianError."""
    kind = error_kinds().get(str(raw.get("code")), YianError)
    return kind(**raw.get("data", {}))


class SettingsInvalid(YianError):
    """data: problem."""


class InputRejected(YianError):
    status = 422


class MediaRejected(InputRejected):
    """data: name (what the user called it), detail."""


class NotMedia(MediaRejected): ...


class Truncated(MediaRejected): ...


class NoVideo(MediaRejected): ...


class NoAudio(MediaRejected): ...


class EmptyMedia(MediaRejected): ...


class ImplausibleDuration(MediaRejected):
    """The header promises far more than the file holds. data: name, claimed_s, found_s."""


class TooLong(MediaRejected):
    """data: name, hours, max_hours."""


class FaceCountWrong(MediaRejected):
    """A photograph for enrolment does not show exactly one face. data: name, faces."""


class PhotoTooPoor(MediaRejected):
    """A photograph for enrolment shows a face that is too small, dark or blurred to know somebody by. data: name."""


class ConsentFormRejected(InputRejected):
    """data: problem."""


class RigRejected(InputRejected):
    """data: problem (an English sentence), place, mistake (a code with words of its own), detail."""


class SpectrumRejected(InputRejected):
    """A spectrometer's file. data: name, flaw (a code with words of its own), detail."""


class CalibrationRejected(InputRejected):
    """Pictures that cannot calibrate a camera as a light meter. data: flaw (a code with words), detail."""


class RequestRejected(InputRejected):
    """data: problem."""


class EditsRejected(InputRejected):
    """A reviewer's edits cannot be applied. data: problem."""


class TranscriptRejected(InputRejected):
    """A transcript.json is not what its schema allows. data: problem."""


class AttachmentRejected(InputRejected):
    """A file that cannot be attached to a consultation. data: why (a word of the catalogue), detail."""


class ConsentRefused(YianError):
    """data: consultation, purpose."""

    status = 403


class ConsentMissing(ConsentRefused): ...


class ConsentWithdrawn(ConsentRefused): ...


class ConsentExpired(ConsentRefused): ...


class PurposeNotGranted(ConsentRefused): ...


class VisitCancelled(ConsentRefused):
    """The visit does not take place; nothing of it may be recorded."""


class Conflict(YianError):
    status = 409


class IllegalTransition(Conflict):
    """data: case, state, wanted."""


class AlreadyDecided(Conflict):
    """data: case, level."""


class SamePerson(Conflict):
    """data: case."""


class ProducerMayNotApprove(Conflict):
    """data: case."""


class AlreadyExists(Conflict):
    """data: what."""


class RecordingClosed(Conflict):
    """data: recording."""


class NotReady(Conflict):
    """The station cannot do this now. ``reason``: busy, not_recording, sealing, or what speaks against recording."""


class BaseKeyChanged(Conflict):
    """The core names another key to seal to than the one this station has kept. data: path."""


class PackageChanged(Conflict):
    """The package that was looked at is no longer the one to be signed. data: case."""


class NotTheExpert(Conflict):
    """The second signature is the treating expert's or a named deputy's. data: case."""


class SegmentsMissing(Conflict):
    """A recording cannot be closed yet. data: count, first (track/index)."""


class VerificationFailed(Conflict):
    """The privacy attack on our own output found something that nobody has answered. data: case, moments."""


class VerificationChanged(Conflict):
    """The case was processed again since the moment was looked at. data: case."""


class AlreadyResolved(Conflict):
    """data: case, moment."""


class MomentUnseen(Conflict):
    """No picture of this moment was kept, so nobody can vouch for it. data: case, moment."""


class HalfDayFull(Conflict):
    """One more visit needs a reason and the name of who allows it. data: day, half_day (am, pm), most."""


class ConsentFormChanged(Conflict):
    """What was signed is no longer what is asked. ``change``: signed (another form came first), wording, or sent (this
    page's form is kept already, with other content). data: consultation, change."""


class KeptByLaw(Conflict):
    """A manager has decided that a law obliges to keep it. data: case, until (a date)."""


class PlanOverlaps(Conflict):
    """Two recordings would start by themselves in one room at once. data: place (the room), consultation (the other one)."""


class ChecksumMismatch(Conflict):
    """data: name, expected, found."""


class AccessRefused(YianError):
    status = 403


class NotLoggedIn(AccessRefused):
    status = 401


class Forbidden(AccessRefused):
    """data: action."""


class GrantMissing(AccessRefused):
    """data: case."""


class TooManyAttempts(AccessRefused):
    """data: wait_s."""

    status = 429


class NotFound(AccessRefused):
    """data: what, id."""

    status = 404


class PackageInvalid(YianError):
    """data: case, differences (count), first (the first difference in words)."""

    status = 409


class Unavailable(YianError):
    status = 503
    transient = True


class StoreUnavailable(Unavailable):
    """data: store, detail."""


class DatabaseUnavailable(Unavailable):
    """data: detail."""


class CoreUnreachable(Unavailable):
    """data: url, detail."""


class AddressTaken(Unavailable):
    """Another program listens where a page was to be served. data: address."""

    transient = False


class DiskFull(Unavailable):
    """data: path, needed_mb, free_mb. Not transient: somebody has to make room."""

    status = 507
    transient = False


class ToolFailed(YianError): ...


class FfmpegMissing(ToolFailed): ...


class ModelMissing(ToolFailed):
    """data: model, path."""


class PyannoteMissing(ToolFailed):
    """No interpreter that imports pyannote.audio. data: python, detail."""


class PyannoteWeightsMissing(ToolFailed):
    """data: pipeline (whose model page on the hub holds the conditions to accept), detail."""


class DeviceFailed(ToolFailed):
    """A camera or microphone of the rig. data: input, detail."""


class ChildFailed(ToolFailed):
    """data: step, detail."""


class ChildCrashed(ChildFailed): ...


class ChildTimedOut(ChildFailed): ...


class ChildOutOfMemory(ChildFailed): ...


class Cancelled(ChildFailed): ...


class PoisonCase(ChildFailed):
    """The case has brought down its worker again and again. data: case, takeovers."""
