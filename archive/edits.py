"""What reviewers have asked to be changed in a case's pictures, added up over its rejections."""

from __future__ import annotations

from typing import Any

from config.errors import EditsRejected

# The most regions of one camera; a case does not gather more over many rejections either.
MAX_REGIONS = 100
# Later ones win where one reviewer's lists contradict each other.
TRACK_LISTS = ("delete_tracks", "keep_tracks", "blur_tracks")
_LASTING = (*TRACK_LISTS, "regions")
# Where edits by camera keep what is said about spoken identifiers.
SPEECH = "speech"
MAX_DECISIONS = 2_000


def check_edits(edits: dict[str, Any], summary: dict[str, Any]) -> None:
    """Refuse edits (by camera) of cameras and tracks that a finished case's ``summary`` does not know.

    Raises EditsRejected: at the desk, where it can be corrected, and not hours later in the worker.
    """
    spans = summary.get("speech", {}).get("spans")
    unknown = sorted(set(edits.get(SPEECH, {}).get("keep", [])) - set(spans or []))
    if spans is not None and unknown:
        raise EditsRejected(problem=f"speech: keep: no span {unknown[0]}")
    faces = summary.get("faces", {})
    for camera, said in edits.items() if faces else ():
        if camera == SPEECH or not any(said.get(key) for key in _LASTING):
            continue
        if camera not in faces:
            raise EditsRejected(problem=f"no camera {camera}")
        known = {track["id"] for track in faces[camera]["tracks"]}
        for key in TRACK_LISTS:
            strangers = sorted(set(said.get(key, [])) - known)
            if strangers:
                raise EditsRejected(problem=f"{camera}: {key}: no track {strangers[0]}")
        for region in said.get("regions", []):
            _check_place(f"{camera}: regions: {region['id']}", region, faces[camera])


def _check_place(name: str, region: dict[str, Any], camera: dict[str, Any]) -> None:
    """A region nobody would ever see hidden is a slip of whoever drew it."""
    keyframes = region["keyframes"]
    if "span_s" in camera and keyframes[0]["time_s"] > camera["span_s"][1] + 1.0:
        raise EditsRejected(problem=f"{name} begins after the end of the video")
    if "size_px" in camera and not any(_meets(keyframe, *camera["size_px"]) for keyframe in keyframes):
        raise EditsRejected(problem=f"{name} lies outside the picture")


def _meets(keyframe: dict[str, Any], width_px: int, height_px: int) -> bool:
    points = keyframe.get("polygon") or [keyframe["box"][:2], keyframe["box"][2:]]
    xs, ys = zip(*points, strict=True)
    return bool(min(xs) < width_px and max(xs) > 0 and min(ys) < height_px and max(ys) > 0)


def merge_edits(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Edits by camera: what ``new`` says about a track or a region replaces what ``old`` said; the rest stays.

    ``reset_tracks`` takes back what was said about a track, ``remove_regions`` takes away a region; a camera of
    which nothing is left is not mentioned. Raises EditsRejected when there was nothing to take back, or when there
    are too many regions.
    """
    merged = {
        camera: _merged(camera, old.get(camera, {}), new.get(camera, {}))
        for camera in sorted({*old, *new} - {SPEECH})
    }
    lasting = {camera: said for camera, said in merged.items() if any(said[key] for key in _LASTING)}
    speech = _merged_speech(old.get(SPEECH, {}), new.get(SPEECH, {}))
    return lasting | ({SPEECH: speech} if speech["keep"] or speech["add"] else {})


def _merged_speech(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``keep`` and ``add`` of both; ``reset`` takes back a span that was kept."""
    kept = set(old.get("keep", []))
    gone = set(new.get("reset", []))
    if strangers := sorted(gone - kept):
        raise EditsRejected(problem=f"speech: reset: nothing was said about {strangers[0]}")
    added = {_place(each): each for each in (*old.get("add", []), *new.get("add", []))}
    for each in new.get("remove_add", []):
        if added.pop(_place(each), None) is None:
            raise EditsRejected(problem=f"speech: remove_add: nothing was added at {each['start_s']} s")
    keep = sorted((kept - gone) | set(new.get("keep", [])))
    if len(keep) > MAX_DECISIONS or len(added) > MAX_DECISIONS:
        raise EditsRejected(problem=f"speech: more than {MAX_DECISIONS} decisions")
    return {"version": 1, "keep": keep, "add": [added[place] for place in sorted(added)]}


def _place(addition: dict[str, Any]) -> tuple[float, float, str, str]:
    return addition["start_s"], addition["end_s"], addition["kind"], addition.get("role") or ""


def _merged(camera: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    said = _by_track(old)
    for track in new.get("reset_tracks", []):
        if said.pop(track, None) is None:
            raise EditsRejected(problem=f"{camera}: reset_tracks: nothing was said about {track}")
    said |= _by_track(new)
    regions = {region["id"]: region for region in old.get("regions", [])}
    for gone in new.get("remove_regions", []):
        if regions.pop(gone, None) is None:
            raise EditsRejected(problem=f"{camera}: remove_regions: no region {gone}")
    regions |= {region["id"]: region for region in new.get("regions", [])}
    if len(regions) > MAX_REGIONS:
        raise EditsRejected(problem=f"{camera}: regions: {len(regions)} are more than {MAX_REGIONS}")
    return {
        "version": 1,
        **{key: sorted(track for track, chosen in said.items() if chosen == key) for key in TRACK_LISTS},
        "regions": [regions[id] for id in sorted(regions)],
    }


def _by_track(edits: dict[str, Any]) -> dict[int, str]:
    return {track: key for key in TRACK_LISTS for track in edits.get(key, [])}
