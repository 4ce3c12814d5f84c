from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.edits import MAX_REGIONS, check_edits, merge_edits
from config.errors import EditsRejected


def region(name: str, x1: float = 9, time_s: float = 0) -> dict[str, Any]:
    return {"id": name, "kind": "paper", "keyframes": [{"time_s": time_s, "box": [0, 0, x1, 9]}]}


def room(**said: Any) -> dict[str, Any]:
    return {"room": said}


def tracks(merged: dict[str, Any], camera: str = "room") -> tuple[list[int], ...]:
    said = merged[camera]
    return said["keep_tracks"], said["blur_tracks"], said["delete_tracks"]


def test_what_is_said_later_about_a_track_counts() -> None:
    old = merge_edits({}, room(keep_tracks=[1, 2, 3], delete_tracks=[4]))
    new = merge_edits(old, room(blur_tracks=[2], delete_tracks=[3], keep_tracks=[4]))
    assert tracks(new) == ([1, 4], [2], [3])


def test_within_one_review_blur_beats_keep_and_keep_beats_delete() -> None:
    said = room(keep_tracks=[1, 2], blur_tracks=[1], delete_tracks=[1, 2, 3])
    assert tracks(merge_edits({}, said)) == ([2], [1], [3])


def test_edits_kept_before_there_were_regions_are_understood() -> None:
    old = {"room": {"keep_tracks": [1], "blur_tracks": [2]}, "desk": {"keep_tracks": [], "blur_tracks": [5]}}
    merged = merge_edits(old, room(regions=[region("a")]))
    assert tracks(merged) == ([1], [2], [])
    assert tracks(merged, "desk") == ([], [5], [])
    assert merged["room"]["regions"] == [region("a")]


def test_a_region_of_the_same_id_replaces_the_earlier_one_and_can_be_removed() -> None:
    old = merge_edits({}, room(regions=[region("b"), region("a")]))
    assert [each["id"] for each in old["room"]["regions"]] == ["a", "b"]
    moved = merge_edits(old, room(regions=[region("a", 50)]))
    assert moved["room"]["regions"] == [region("a", 50), region("b")]
    left = merge_edits(moved, room(remove_regions=["a"]))
    assert left["room"]["regions"] == [region("b")]
    anew = merge_edits(left, room(remove_regions=["b"], regions=[region("b", 70)]))
    assert anew["room"]["regions"] == [region("b", 70)]


def test_what_was_said_can_be_taken_back_until_nothing_is_left() -> None:
    old = merge_edits({}, room(keep_tracks=[1], regions=[region("a")]))
    assert merge_edits(old, room(reset_tracks=[1], remove_regions=["a"])) == {}


@pytest.mark.parametrize("said", [{"remove_regions": ["b"]}, {"reset_tracks": [9]}])
def test_taking_back_what_was_never_said_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(EditsRejected) as caught:
        merge_edits(room(keep_tracks=[1], regions=[region("a")]), {"room": said})
    assert caught.value.data["problem"].startswith("room: ")


def test_a_case_does_not_gather_regions_without_end() -> None:
    old = merge_edits({}, room(regions=[region(f"r{number}") for number in range(MAX_REGIONS)]))
    assert merge_edits(old, room(regions=[region("r0", 70)]))
    with pytest.raises(EditsRejected):
        merge_edits(old, room(regions=[region("one-more")]))


DECISIONS = st.dictionaries(
    st.integers(0, 5), st.sampled_from(["keep_tracks", "blur_tracks", "delete_tracks"]), max_size=6
)


@given(st.lists(DECISIONS, max_size=4))
def test_every_track_keeps_its_last_decision_over_any_number_of_reviews(
    reviews: list[dict[int, str]],
) -> None:
    merged: dict[str, Any] = {}
    last: dict[int, str] = {}
    for review in reviews:
        said = {key: [t for t, chosen in review.items() if chosen == key] for key in set(review.values())}
        merged = merge_edits(merged, {"room": said})
        last |= review
    found = {t: key for key, ts in merged.get("room", {}).items() if key.endswith("_tracks") for t in ts}
    assert found == last


SUMMARY = {"faces": {"room": {"tracks": [{"id": 1}], "size_px": [640, 360], "span_s": [0.0, 9.96]}}}


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"rom": {"blur_tracks": [1]}}, "no camera rom"),
        (room(keep_tracks=[1, 2]), "room: keep_tracks: no track 2"),
        (room(delete_tracks=[0]), "room: delete_tracks: no track 0"),
        (room(regions=[region("a", time_s=90)]), "room: regions: a begins after the end of the video"),
        (
            room(
                regions=[
                    {**region("a"), "keyframes": [{"time_s": 0, "polygon": [[700, 1], [900, 1], [800, 90]]}]}
                ]
            ),
            "room: regions: a lies outside the picture",
        ),
    ],
)
def test_a_slip_is_refused_at_the_desk(edits: dict[str, Any], problem: str) -> None:
    with pytest.raises(EditsRejected) as caught:
        check_edits(edits, SUMMARY)
    assert caught.value.data["problem"] == problem


def test_what_a_finished_case_knows_is_accepted_and_an_unfinished_case_cannot_tell() -> None:
    check_edits(room(keep_tracks=[1], regions=[region("a", time_s=9.98)], reset_tracks=[7]), SUMMARY)
    check_edits({"rom": {"reset_tracks": [1]}}, SUMMARY)
    check_edits({"rom": {"blur_tracks": [1]}}, {})
    check_edits(room(regions=[region("a", time_s=90)]), {"faces": {"room": {"tracks": []}}})


def speech(**said: Any) -> dict[str, Any]:
    return {"speech": said}


ADDED = {"start_s": 1.0, "end_s": 2.0, "kind": "phone"}


def test_what_is_said_about_spoken_identifiers_adds_up_over_reviews_and_can_be_taken_back() -> None:
    first = merge_edits({}, speech(keep=["name-1"], add=[ADDED]))
    assert first == speech(version=1, keep=["name-1"], add=[ADDED])
    second = merge_edits(first, {**room(keep_tracks=[1]), **speech(keep=["name-2"])})
    assert second["speech"]["keep"] == ["name-1", "name-2"]
    assert second["room"]["keep_tracks"] == [1]
    third = merge_edits(second, speech(reset=["name-1"], remove_add=[ADDED]))
    assert third["speech"] == {"version": 1, "keep": ["name-2"], "add": []}
    assert "speech" not in merge_edits(third, speech(reset=["name-2"]))


@pytest.mark.parametrize("said", [{"reset": ["name-9"]}, {"remove_add": [ADDED]}])
def test_taking_back_what_was_never_said_about_speech_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(EditsRejected):
        merge_edits(speech(keep=["name-1"]), speech(**said))


def test_a_span_that_the_case_does_not_have_is_refused_at_the_desk() -> None:
    summary = {**SUMMARY, "speech": {"spans": ["name-1"]}}
    check_edits(speech(keep=["name-1"]), summary)
    with pytest.raises(EditsRejected):
        check_edits(speech(keep=["name-2"]), summary)
