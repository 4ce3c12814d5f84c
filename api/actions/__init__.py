"""What a person can do, for the web's routes and the command line alike.

Every function takes the person acting, checks whether this person may do this to that, does it in one
transaction together with its trace in the access log, and raises errors of the tree in ``config.errors``.
"""

from __future__ import annotations

from api.actions.attachments import (
    attach,
    delete_attachment,
    list_attachments,
    open_attachment,
    release_attachment,
)
from api.actions.cases import cancel_case, decide, export_case, list_cases, retry_case, show_case
from api.actions.consents import (
    Answers,
    show_forms,
    shown_form,
    sign_consent,
    sign_form,
    signature_of,
    withdraw_consent,
)
from api.actions.desk import STAFF, VIEWERS
from api.actions.holding import confirm_erased, erase_case, erased_among, keep_case, list_held
from api.actions.moments import (
    Moment,
    is_producer,
    list_moments,
    moment_thumbnail,
    resolve_moment,
    tracked_faces,
)
from api.actions.people import USERNAME, create_user, enrol_expert, forget_expert
from api.actions.recordings import (
    TRACK_NAME,
    TRACK_ROLES,
    add_note,
    case_notes,
    complete_recording,
    list_notes,
    list_segments,
    open_recording,
    put_segment,
    require_wanted,
)
from api.actions.redactions import list_redactions
from api.actions.rooms import (
    hear_room,
    list_rooms,
    plan_room,
    retire_room,
    room_changes,
    room_schedule,
    shown_consultations,
    warnings_of,
)
from api.actions.visits import (
    Override,
    Visit,
    cancel_consultation,
    list_consultations,
    list_today,
    register_names,
    schedule_consultation,
    show_consultation,
)
from api.actions.watching import PLAY_BEGINS, counters, media_stream, report_watch
from archive.store import sha256_of

__all__ = [
    "PLAY_BEGINS",
    "STAFF",
    "TRACK_NAME",
    "TRACK_ROLES",
    "USERNAME",
    "VIEWERS",
    "Answers",
    "Moment",
    "Override",
    "Visit",
    "add_note",
    "attach",
    "cancel_case",
    "cancel_consultation",
    "case_notes",
    "complete_recording",
    "confirm_erased",
    "counters",
    "create_user",
    "decide",
    "delete_attachment",
    "enrol_expert",
    "erase_case",
    "erased_among",
    "export_case",
    "forget_expert",
    "hear_room",
    "is_producer",
    "keep_case",
    "list_attachments",
    "list_cases",
    "list_consultations",
    "list_held",
    "list_moments",
    "list_notes",
    "list_redactions",
    "list_rooms",
    "list_segments",
    "list_today",
    "media_stream",
    "moment_thumbnail",
    "open_attachment",
    "open_recording",
    "plan_room",
    "put_segment",
    "register_names",
    "release_attachment",
    "report_watch",
    "require_wanted",
    "resolve_moment",
    "retire_room",
    "retry_case",
    "room_changes",
    "room_schedule",
    "schedule_consultation",
    "sha256_of",
    "show_case",
    "show_consultation",
    "show_forms",
    "shown_consultations",
    "shown_form",
    "sign_consent",
    "sign_form",
    "signature_of",
    "tracked_faces",
    "warnings_of",
    "withdraw_consent",
]
