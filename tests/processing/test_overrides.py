from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from archive.edits import MAX_REGIONS
from config.errors import EditsRejected, RequestRejected
from config.settings import MediaSettings, SpeechSettings, VisionSettings
from processing.blur import RenderReport, blur_file, render
from processing.chains import Seen
from processing.faces import Detections, Look
from processing.frames import read_pictures
from processing.hide import Planes, Style, hide_polygon
from processing.media import no_progress
from processing.overrides import (
    FURTHEST_PX,
    MAX_KEYFRAMES,
    MAX_POINTS,
    Overrides,
    Polygon,
    Region,
    apply_overrides,
    parse_overrides,
)
from processing.plan import STEPS
from processing.step import Job
from processing.steps import blur_step
from processing.tracks import Knot, Track, link
from processing.verify import attack
from tests.processing import clips

MEDIA, VISION = MediaSettings(), VisionSettings(detect_width_px=320)
PAPER: dict[str, Any] = {
    "id": "paper-1",
    "kind": "paper",
    "keyframes": [{"time_s": 0, "box": [40, 30, 100, 80]}],
}


def track(number: int, decision: Any = "blur") -> Track:
    box = (0.0, 0.0, 10.0, 10.0)
    return Track(number, 0, 9, (Seen(0, box, 0.9),), (Knot(0, box),), decision)


def region(*keyframes: dict[str, Any], **more: Any) -> Region:
    return parse_overrides({"regions": [{**PAPER, "keyframes": list(keyframes), **more}]}).regions[0]


def at(time_s: float, x0: float = 40, size: float = 50) -> dict[str, Any]:
    return {"time_s": time_s, "box": [x0, 30, x0 + size, 30 + size]}


# --- the document --------------------------------------------------------------------------------------------


def test_edits_of_the_first_form_without_a_version_are_understood() -> None:
    old = parse_overrides({"keep_tracks": [1], "blur_tracks": [2]})
    assert old == parse_overrides({"version": 1, "keep_tracks": [1], "blur_tracks": [2]})
    assert parse_overrides({}) == Overrides()


def broken(change: Any) -> dict[str, Any]:
    raw = {"version": 1, "regions": [copy.deepcopy(PAPER)]}
    change(raw, raw["regions"][0], raw["regions"][0]["keyframes"])  # type: ignore[index]  # JSON of any shape
    return raw


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ([], "overrides"),
        (None, "overrides"),
        ({"keep": [1]}, "keep"),
        ({"version": 2}, "version"),
        ({"version": "1"}, "version"),
        ({"keep_tracks": 1}, "keep_tracks"),
        ({"keep_tracks": [True]}, "keep_tracks.0"),
        ({"blur_tracks": ["1"]}, "blur_tracks.0"),
        ({"delete_tracks": [-1]}, "delete_tracks.0"),
        ({"delete_tracks": [1.0]}, "delete_tracks.0"),
        ({"keep_tracks": [0] * 10_001}, "keep_tracks"),
        ({"regions": [{**PAPER, "id": f"r{n}"} for n in range(MAX_REGIONS + 1)]}, "regions"),
        ({"regions": [PAPER, PAPER]}, "overrides"),
        (broken(lambda _, r, k: r.update(id="")), "regions.0.id"),
        (broken(lambda _, r, k: r.update(id="../x")), "regions.0.id"),
        (broken(lambda _, r, k: r.update(kind="dog")), "regions.0.kind"),
        (broken(lambda _, r, k: r.update(note="x")), "regions.0.note"),
        (broken(lambda _, r, k: r.update(keyframes=[])), "regions.0.keyframes"),
        (broken(lambda _, r, k: k.extend(at(n) for n in range(1, MAX_KEYFRAMES + 1))), "regions.0.keyframes"),
        (broken(lambda _, r, k: k.append(at(0))), "regions.0"),
        (broken(lambda _, r, k: k.append({"time_s": 1, "polygon": [[0, 0], [9, 0], [9, 9]]})), "regions.0"),
        (broken(lambda _, r, k: (k.append(at(3)), r.update(until_s=2))), "regions.0"),
        (broken(lambda _, r, k: r.update(until_s="end")), "regions.0.until_s"),
        (broken(lambda _, r, k: k[0].update(time_s=-1)), "regions.0.keyframes.0.time_s"),
        (broken(lambda _, r, k: k[0].update(time_s=True)), "regions.0.keyframes.0.time_s"),
        (broken(lambda _, r, k: k[0].update(time_s=float("nan"))), "regions.0.keyframes.0.time_s"),
        (broken(lambda _, r, k: k[0].update(time_s=float("inf"))), "regions.0.keyframes.0.time_s"),
        (broken(lambda _, r, k: k[0].update(box=[0, 0, 10])), "regions.0.keyframes.0.box.3"),
        (broken(lambda _, r, k: k[0].update(box=[10, 0, 0, 10])), "regions.0.keyframes.0"),
        (broken(lambda _, r, k: k[0].update(box=[0, 0, 10, 1e5])), "regions.0.keyframes.0.box.3"),
        (broken(lambda _, r, k: k[0].update(box=[0, 0, 10, float("inf")])), "regions.0.keyframes.0.box.3"),
        (broken(lambda _, r, k: k[0].update(polygon=[[0, 0], [1, 0], [1, 1]])), "regions.0.keyframes.0"),
        (broken(lambda _, r, k: k[0].pop("box")), "regions.0.keyframes.0"),
        (
            broken(lambda _, r, k: r.update(keyframes=[{"time_s": 0, "polygon": [[0, 0], [9, 0]]}])),
            "regions.0.keyframes.0.polygon",
        ),
        (
            broken(lambda _, r, k: r.update(keyframes=[{"time_s": 0, "polygon": [[0, 5], [9, 5], [4, 5]]}])),
            "regions.0.keyframes.0",
        ),
        (
            broken(
                lambda _, r, k: r.update(
                    keyframes=[{"time_s": 0, "polygon": [[n, n % 2] for n in range(MAX_POINTS + 1)]}]
                )
            ),
            "regions.0.keyframes.0.polygon",
        ),
    ],
)
def test_a_document_that_is_wrong_somewhere_is_refused_and_the_place_is_named(raw: Any, place: str) -> None:
    with pytest.raises(EditsRejected) as caught:
        parse_overrides(raw)
    assert caught.value.data["problem"].startswith(f"{place}: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["version", "regions", "id", "kind", "keyframes", "time_s", "box", "keep_tracks"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_either_a_document_or_refused(raw: Any) -> None:
    try:
        parse_overrides(raw)
    except EditsRejected as error:
        assert error.data["problem"]


COORDINATES = st.floats(-FURTHEST_PX, FURTHEST_PX, allow_nan=False)
TIMES = st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True).map(
    lambda found: [thousandths / 1000 for thousandths in sorted(found)]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    regions = []
    for number in range(draw(st.integers(0, 3))):
        points = draw(st.integers(3, 6))
        polygons = st.lists(st.tuples(COORDINATES, COORDINATES).map(list), min_size=points, max_size=points)
        keyframes = [{"time_s": time_s, "polygon": draw(polygons)} for time_s in draw(TIMES)]
        for keyframe in keyframes:
            assume(all(len({p[axis] for p in keyframe["polygon"]}) > 1 for axis in (0, 1)))
        more = {"until_s": keyframes[-1]["time_s"] + 1.5} if draw(st.booleans()) else {}
        regions.append({"id": f"r{number}", "kind": "other", "keyframes": keyframes, **more})
    return {"version": 1, "keep_tracks": draw(st.lists(st.integers(0, 99), max_size=3)), "regions": regions}


@given(documents())
def test_a_document_survives_being_written_and_read(raw: dict[str, Any]) -> None:
    read = parse_overrides(json.loads(json.dumps(raw)))
    assert parse_overrides(json.loads(read.model_dump_json(exclude_unset=True))) == read


@given(documents(), st.floats(0, 1100), st.floats(0.002, 5))
def test_between_keyframes_every_point_stays_between_its_places_in_them(
    raw: dict[str, Any], from_s: float, shown_s: float
) -> None:
    for each in parse_overrides(raw).regions:
        shapes = each.shapes(from_s, from_s + shown_s)
        alive = each.keyframes[0].time_s < from_s + shown_s - 0.001 and from_s - 0.001 <= each.last_s
        assert bool(shapes) == (alive or each.keyframes[0].time_s == 0 and from_s - 0.001 <= each.last_s)
        before = [k for k in each.keyframes if k.time_s <= from_s] or each.keyframes[:1]
        after = [k for k in each.keyframes if k.time_s >= from_s] or each.keyframes[-1:]
        for shape in shapes if len(shapes) == 1 and before[-1].time_s < from_s < after[0].time_s else []:
            if shape in [k.points for k in each.keyframes]:
                continue
            ends = np.asarray([before[-1].points, after[0].points])
            assert (np.asarray(shape) >= ends.min(axis=0) - 1e-6).all()
            assert (np.asarray(shape) <= ends.max(axis=0) + 1e-6).all()


def test_half_way_between_two_keyframes_every_corner_is_half_way() -> None:
    [shape] = region(at(1, 0, 50), at(2, 100, 70)).shapes(1.5, 1.54)
    assert shape == ((50, 30), (110, 30), (110, 90), (50, 90))


@pytest.mark.parametrize(
    ("from_s", "to_s", "there"),
    [
        (0.0, 1.0, False),
        (0.9, 1.1, True),  # the frame on which somebody paused at 1 s
        (1.0, 1.1, True),
        (2.0, 2.1, True),
        (2.0004, 2.1, True),  # told as 2.0 by a report
        (2.1, 2.2, False),
    ],
)
def test_a_region_lives_from_its_first_keyframe_to_its_last(from_s: float, to_s: float, there: bool) -> None:
    assert bool(region(at(1), at(2)).shapes(from_s, to_s)) is there


def test_a_paper_marked_once_stays_to_the_end_and_until_ends_it_earlier() -> None:
    assert region(at(1)).shapes(9000, 9000.04)
    assert region(at(1), until_s=3).shapes(3, 3.04)
    assert not region(at(1), until_s=3).shapes(3.04, 3.08)
    assert not region(at(1), until_s=1).shapes(1.04, 1.08)
    assert not region(at(1), at(2)).shapes(2.04, 2.08)
    assert region(at(1), at(2), until_s=9).shapes(8, 8.04) == region(at(2)).shapes(2, 2.04)


def test_several_keyframes_on_one_long_frame_are_all_hidden_in_it() -> None:
    assert len(region(at(1, 0), at(1.2, 20), at(3, 40)).shapes(0.9, 2.5)) == 2


def test_a_region_marked_from_zero_is_there_before_a_clock_that_begins_below_zero() -> None:
    assert region(at(0)).shapes(-0.08, -0.04)


# --- decisions about tracks ----------------------------------------------------------------------------------


def test_blur_beats_keep_and_keep_beats_delete() -> None:
    wanted = parse_overrides({"keep_tracks": [0, 1], "blur_tracks": [1, 3], "delete_tracks": [0, 1, 2]})
    done = apply_overrides([track(n, "keep") for n in range(5)], wanted)
    assert [(each.decision, each.reason) for each in done] == [
        ("keep", "marked-by-reviewer"),
        ("blur", "blur-edit"),
        ("delete", "deleted-by-reviewer"),
        ("blur", "blur-edit"),
        ("keep", "default"),
    ]


@pytest.mark.parametrize("key", ["keep_tracks", "blur_tracks", "delete_tracks"])
def test_a_track_that_is_not_there_is_refused(key: str) -> None:
    with pytest.raises(EditsRejected) as caught:
        apply_overrides([track(0)], parse_overrides({key: [0, 7]}))
    assert caught.value.data["problem"] == f"{key}: no track 7"


# --- pixels --------------------------------------------------------------------------------------------------


def noisy_planes(height: int = 120, width: int = 160) -> Planes:
    random = np.random.default_rng(5)
    half = (height // 2, width // 2)
    y, u, v = (random.integers(0, 255, size, np.uint8) for size in ((height, width), half, half))
    return y, u, v


def changed_and_hidden(corners: Sequence[tuple[float, float]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where the brightness of a picture changed at all, and where it is one flat colour."""
    planes = noisy_planes()
    before = planes[0].copy()
    hide_polygon(planes, tuple(corners), "solid")
    values, counts = np.unique(planes[0], return_counts=True)
    return planes[0] != before, planes[0] == values[counts.argmax()]


def exact(corners: Sequence[tuple[float, float]]) -> NDArray[Any]:
    """Pixels any part of which lies inside, found in 16 times as fine a picture."""
    fine = np.zeros((120 * 16, 160 * 16), np.uint8)
    cv2.fillPoly(fine, [np.rint(np.asarray(corners) * 16 - 0.5).astype(np.int32)], 1)
    touched: NDArray[Any] = fine.reshape(120, 16, 160, 16).max(axis=(1, 3)) > 0
    return touched


SHAPES: dict[str, Polygon] = {
    "box": ((20, 20), (120, 20), (120, 90), (20, 90)),
    "between pixels": ((20.3, 20.7), (119.5, 20.7), (119.5, 89.2), (20.3, 89.2)),
    "turned": ((80, 10), (140, 60), (80, 110), (20, 60)),
    "sliver": ((10, 10), (150, 100), (149, 101)),
    "hollow": ((20, 20), (120, 20), (120, 90), (90, 90), (90, 50), (50, 50), (50, 90), (20, 90)),
    "over the edge": ((-50, -40), (60, -40), (60, 50), (-50, 50)),
    "far over every edge": ((-9000, -9000), (9000, -9000), (9000, 9000), (-9000, 9000)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_polygon_is_hidden_whole_with_its_corners_and_nothing_changes_away_from_it(name: str) -> None:
    changed, hidden = changed_and_hidden(SHAPES[name])
    inside = exact(SHAPES[name])
    assert hidden[inside].all()
    reach = cv2.distanceTransform(1 - inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert not changed[reach > 10].any()


def test_the_edge_outside_a_polygon_is_soft() -> None:
    planes = (np.full((120, 160), 200, np.uint8), np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8))
    planes[0][:, 100:150] = 0
    hide_polygon(planes, ((100, 30), (150, 30), (150, 90), (100, 90)), "solid")
    row = planes[0][60].astype(int)
    assert (row[90:94] == 200).all() and (row[100:150] == row[100]).all()
    steps = np.diff(row[90:102])
    assert (steps <= 0).all() and np.count_nonzero(steps) >= 2


def test_an_outline_that_crosses_itself_leaves_no_hole() -> None:
    angles = np.arange(5) * 4 * np.pi / 5 - np.pi / 2
    star = [(80 + 55 * float(np.cos(a)), 60 + 55 * float(np.sin(a))) for a in angles]
    _, hidden = changed_and_hidden(star)
    assert hidden[50:70, 70:90].all(), "the middle of the star"


@pytest.mark.parametrize("style", ["mosaic", "blur", "solid"])
def test_no_more_than_8_by_8_cells_are_left_of_a_region(style: Style) -> None:
    planes = noisy_planes(800, 1000)
    assert hide_polygon(planes, ((100, 100), (900, 100), (900, 700), (100, 700)), style)
    for plane, scale in zip(planes, (1, 2, 2), strict=True):
        inside = plane[100 // scale : 700 // scale, 100 // scale : 900 // scale].astype(int)
        assert np.abs(np.diff(inside, axis=1)).mean() < 1
        assert np.count_nonzero(np.abs(np.diff(inside[len(inside) // 2])) > 4) <= 8


def test_a_polygon_outside_the_picture_changes_nothing_and_says_so() -> None:
    planes = noisy_planes()
    before = [plane.copy() for plane in planes]
    assert not hide_polygon(planes, ((-90, -90), (-50, -90), (-50, -40)), "blur")
    assert all((plane == old).all() for plane, old in zip(planes, before, strict=True))


# --- in a video ----------------------------------------------------------------------------------------------

STRIPES = np.where(np.indices((120, 160)).sum(axis=0)[..., None] // 4 % 2, 230, 20)
STRIPED = np.broadcast_to(STRIPES, (120, 160, 3)).astype(np.uint8)


def striped_clip(path: Path, frames: int = 10, pts: list[int] | None = None, turned: bool = False) -> Path:
    picture = np.ascontiguousarray(np.rot90(STRIPED)) if turned else STRIPED
    return clips.write_clip(path, (picture for _ in range(frames)), pts=pts)


def rendered(clip: Path, *regions: Region, style: Style = "blur") -> tuple[Path, RenderReport]:
    out = clip.with_name("out.mp4")
    return out, render(clip, [], out, style=style, media=MEDIA, progress=no_progress, regions=regions)


def contrast(video: Path, box: tuple[int, int, int, int] = (44, 34, 96, 76)) -> Iterator[float]:
    x0, y0, x1, y1 = box
    for picture in read_pictures(video):
        yield float(picture.luma()[y0:y1, x0:x1].std())


def test_a_region_is_in_exactly_its_frames_of_a_variable_frame_rate(tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 240, 900, 933, 967, 1500, 2600]
    clip = striped_clip(tmp_path / "vfr.mp4", pts=pts)
    # 0.5 s lies in the long frame that begins at 0.24 s; 0.967 s is a frame's own time.
    out, report = rendered(clip, region(at(0.5, 40, 60), at(0.967, 40, 60)))
    hidden = [value < 20 for value in contrast(out)]
    assert [ms for ms, is_hidden in zip(pts, hidden, strict=True) if is_hidden] == [240, 900, 933, 967]
    assert report.regions == {"paper-1": 4}
    assert report.frames_blurred == 4
    assert report.span_s == (0.0, 2.6)


def test_a_moving_region_follows_the_time_and_not_the_number_of_frames(tmp_path: Path) -> None:
    clip = striped_clip(tmp_path / "vfr.mp4", frames=4, pts=[0, 100, 900, 1000])
    out, _ = rendered(clip, region(at(0, 0, 40), at(1, 100, 40)))
    middles = []
    for picture in read_pictures(out):
        quiet = picture.luma()[35:65].astype(float).reshape(30, 32, 5).std(axis=(0, 2)) < 20
        middles.append(float((np.flatnonzero(quiet) * 5 + 2.5).mean()))
    assert middles == pytest.approx([20, 30, 110, 120], abs=4)


def test_a_region_lies_where_the_upright_picture_shows_it(tmp_path: Path) -> None:
    lying = striped_clip(tmp_path / "lying.mp4", 4, turned=True)
    phone = clips.rotated(lying, tmp_path / "phone.mp4", clockwise_deg=90)
    out, report = rendered(phone, region(at(0, 40, 60)))
    assert report.size_px == (160, 120)
    assert max(contrast(out)) < 20
    assert min(contrast(out, (115, 34, 155, 76))) > 60


@pytest.mark.parametrize(
    "keyframe", [at(0, 9000), {"time_s": 60, "box": [1, 1, 9, 9]}, {"time_s": 0, "box": [5, 130, 9, 140]}]
)
def test_a_region_that_hides_nothing_is_refused_because_somebody_relies_on_it(
    tmp_path: Path, keyframe: dict[str, Any]
) -> None:
    clip = striped_clip(tmp_path / "clip.mp4", 4)
    with pytest.raises(EditsRejected) as caught:
        rendered(clip, region(keyframe))
    assert "paper-1" in caught.value.data["problem"]


def test_a_region_over_a_kept_face_hides_it(tmp_path: Path) -> None:
    clip = striped_clip(tmp_path / "clip.mp4", 4)
    kept = replace(track(0, "keep"), areas=(Knot(0, (0, 0, 160, 120)),))
    out = tmp_path / "out.mp4"
    render(
        clip, [kept], out, style="solid", media=MEDIA, progress=no_progress, regions=[region(at(0, 40, 60))]
    )
    assert max(contrast(out)) < 5


# --- one file, twice -----------------------------------------------------------------------------------------


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.consultation_clip(tmp_path_factory.mktemp("overrides") / "clip.mp4", 24, audio_streams=1)


EDITS = {
    "version": 1,
    "delete_tracks": [0],
    "regions": [
        {"id": "paper", "kind": "paper", "keyframes": [{"time_s": 0.2, "box": [280, 260, 360, 340]}]},
        {
            "id": "tattoo",
            "kind": "tattoo",
            "keyframes": [
                {"time_s": 0.0, "polygon": [[300, 10], [340, 20], [310, 60]]},
                {"time_s": 0.8, "polygon": [[320, 30], [360, 40], [330, 80]]},
            ],
        },
    ],
}


def test_a_second_run_with_what_the_first_found_gives_the_same_bytes_as_starting_anew(
    clip: Path, tmp_path: Path
) -> None:
    anew, again = tmp_path / "anew.mp4", tmp_path / "again.mp4"
    first = blur_file(clip, anew, vision=VISION, media=MEDIA, edits=EDITS, progress=no_progress)
    found = json.loads(json.dumps(first.to_dict()))["pass_one"]
    second = blur_file(
        clip, again, vision=VISION, media=MEDIA, edits=EDITS, pass_one=found, progress=no_progress
    )
    assert sha(anew) == sha(again)
    assert first.detect_fps is not None and second.detect_fps is None
    assert first.tracks == second.tracks
    assert {"id": "paper", "kind": "paper", "frames": 19} in second.regions
    deleted = [line for line in second.tracks if line["decision"] == "delete"]
    assert [(line["id"], line["reason"]) for line in deleted] == [(0, "deleted-by-reviewer")]
    assert second.verification.verdict == "pass", "the reviewer declared what is seen there to be no face"
    with pytest.raises(RequestRejected) as caught:
        blur_file(
            anew,
            tmp_path / "other.mp4",
            vision=VISION,
            media=MEDIA,
            pass_one=found,
            progress=no_progress,
        )
    assert "another file" in caught.value.data["problem"]
    for wrong in (
        {},
        [],
        {**found, "detections": {}},
        {**found, "detections": {**found["detections"], "x": 1}},
    ):
        with pytest.raises(RequestRejected):
            blur_file(clip, again, vision=VISION, media=MEDIA, pass_one=wrong, progress=no_progress)
    eager = VISION.model_copy(update={"detect_score": 0.6})
    with pytest.raises(RequestRejected):
        blur_file(clip, again, vision=eager, media=MEDIA, pass_one=found, progress=no_progress)


def blur_job(folder: Path, clip: Path, edits: dict[str, Any]) -> Job:
    """The blur step's job on a case of one camera, in which one track was found."""
    looks = tuple(Look(frame, ((300.0, 20.0, 340.0, 70.0, 0.9),)) for frame in (0, 5, 10))
    found = link(Detections("centerface", 640, 360, 25.0, 24, 0.35, (), looks))
    for step, name, content in (
        ("ingest", "tracks.json", {"room": {"file": str(clip)}}),
        ("probe", "plan.json", {"cameras": ["room"]}),
        ("faces", "room.tracks.json", [track.to_dict() for track in found]),
        ("blur", "out/none", {}),
    ):
        (folder / step / name).parent.mkdir(parents=True)
        (folder / step / name).write_text(json.dumps(content))
    inputs = {step: folder / step for step in ("ingest", "probe", "faces")}
    params = {"edits": edits, "templates": []}
    return Job(folder / "blur", inputs, params, SpeechSettings(), VISION, MEDIA)


def test_the_step_tells_what_was_decided_and_the_same_edits_give_the_same_bytes(
    clip: Path, tmp_path: Path
) -> None:
    jobs = [blur_job(tmp_path / name, clip, {"room": EDITS}) for name in ("one", "two")]
    told, again = (blur_step(job)["cameras"]["room"] for job in jobs)
    assert (told["kept"], told["blurred"], told["deleted"]) == (0, 0, 1)
    assert told["size_px"] == (640, 360) and told["span_s"] == pytest.approx((0, 0.92))
    assert [(each["id"], each["frames"]) for each in told["regions"]] == [("paper", 19), ("tattoo", 21)]
    [written] = json.loads((jobs[0].out / "room.tracks.json").read_text())
    assert (written["decision"], written["reason"]) == ("delete", "deleted-by-reviewer")
    assert told == again
    assert sha(jobs[0].out / "room.mp4") == sha(jobs[1].out / "room.mp4")


def test_a_track_keeps_the_number_a_reviewer_has_seen_whatever_linking_would_say_today(
    clip: Path, tmp_path: Path
) -> None:
    job = blur_job(tmp_path, clip, {"room": {"delete_tracks": [7]}})
    kept = job.inputs["faces"] / "room.tracks.json"
    (track,) = json.loads(kept.read_text())
    kept.write_text(json.dumps([track, {**track, "id": 7}]))
    told = blur_step(job)["cameras"]["room"]["tracks"]
    assert [(each["id"], each["decision"]) for each in told] == [(0, "blur"), (7, "delete")]


def test_edits_of_a_camera_that_is_not_there_are_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(EditsRejected) as caught:
        blur_step(blur_job(tmp_path, clip, {"desk": EDITS}))
    assert caught.value.data["problem"] == "no camera desk"


def test_a_face_beside_a_deleted_track_still_fails_the_verification(clip: Path, tmp_path: Path) -> None:
    scenes = list(clips.consultation(24))
    nothing = Track(0, 0, 23, (Seen(0, (280, 20, 330, 80), 0.5),), (Knot(0, (270, 10, 340, 90)),), "delete")
    looks = tuple(Seen(frame, scene.patient, 0.9) for frame, scene in enumerate(scenes))
    patient = Track(1, 0, 23, looks, tuple(Knot(look.frame, look.box) for look in looks), "delete")
    out = tmp_path / "out.mp4"
    render(clip, [nothing, patient], out, style="blur", media=MEDIA, progress=no_progress)
    moments = attack(out, [nothing, patient], VISION, no_progress, original=clip).moments
    assert moments, "the expert's face is neither kept nor deleted"
    middle = [(scenes[0].patient[0] + scenes[0].patient[2]) / 2, 320.0]
    assert all((moment.box[0] + moment.box[2]) / 2 < middle[1] for moment in moments)


def test_an_edit_redoes_only_what_it_can_change() -> None:
    assert [step.name for step in STEPS if step.edited] == ["redact", "blur", "verify", "stream", "package"]
