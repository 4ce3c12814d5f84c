"""The pipeline's steps over files, as they run in their child process.

Each takes a Job and returns a few numbers about what it did; everything else it leaves in ``job.out``. Each
imports what it needs itself: a step that joins files must not wait for the models to load.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import EditsRejected, NoAudio, NoVideo
from processing.media import part_of
from processing.speech_steps import SPEECH_FUNCTIONS, TRANSCRIPT_FILES
from processing.step import Job, Result, read_json, sources_of, write_json

if TYPE_CHECKING:
    from processing.tracks import Track


def _write_tracks(path: Path, tracks: Iterable[Track]) -> None:
    """One at a time: all tracks of three restless hours as one text took 500 MB."""
    with path.open("w") as file:
        for number, track in enumerate(tracks):
            file.write(",\n" if number else "[")
            file.write(json.dumps(track.to_dict(), sort_keys=True, separators=(",", ":")))
        file.write("]" if file.tell() else "[]")


def ingest(job: Job) -> Result:
    """Join the segments of every track into one file each, losing nothing and moving nothing."""
    from processing.join import join_segments

    told = {}
    for done, (name, track) in enumerate(sorted(job.params["tracks"].items())):
        parts = [Path(part) for part in track["parts"]]
        file = f"{name}{parts[0].suffix}"
        starts_s = None if track["whole"] else track["starts_s"]
        late_s = join_segments(parts, job.out / file, starts_s, track["lasts_s"])
        told[name] = {
            "kind": track["kind"],
            "role": track["role"],
            "start_s": track["starts_s"][0] + late_s,
            "longest_gap_s": track["longest_gap_s"],
            "file": file,
        }
        job.progress((done + 1) / len(job.params["tracks"]))
    write_json(job.out / "tracks.json", told)
    return {"tracks": len(told)}


def probe_step(job: Job) -> Result:
    """Say what was recorded, and refuse what cannot become a case, in words a technician understands."""
    from processing import probe

    told = read_json(job.inputs["ingest"] / "tracks.json")
    infos = {}
    for name, track in told.items():
        infos[name] = probe.probe(
            job.inputs["ingest"] / track["file"],
            name,
            max_hours=job.media.max_hours,
            need_video=track["kind"] == "video",
            need_audio=track["kind"] == "audio",
            longest_pause_s=track["longest_gap_s"],
        )
    cameras = [name for name, track in told.items() if track["kind"] == "video"]
    if not cameras:
        raise NoVideo(name=job.params["case"], detail="no camera was recorded")
    cameras.sort(key=lambda name: (told[name]["role"] != "room", name))
    microphones = [name for name, track in told.items() if track["kind"] == "audio"]
    sounding = [name for name in cameras if infos[name].audio_channels]
    if not microphones and not sounding and job.params["kind"] != "demonstration":
        raise NoAudio(name=cameras[0], detail="no microphone was recorded and no camera has sound")
    notes = list(job.params["notes"])
    notes += [{"track": name, "code": code} for name in sorted(infos) for code in infos[name].notes]
    notes += [note.to_dict() for note in probe.compare_cameras([infos[name] for name in cameras])]
    plan = {
        "cameras": cameras,
        "main_camera": cameras[0],
        "sound": microphones or sounding[:1],
        "duration_s": infos[cameras[0]].duration_s,
        "notes": notes,
    }
    write_json(job.out / "plan.json", plan)
    write_json(job.out / "media.json", {name: info.to_dict() for name, info in infos.items()})
    return {"notes": notes, **{k: plan[k] for k in ("cameras", "main_camera", "duration_s")}}


def faces(job: Job) -> Result:
    """Find faces in every camera's picture and number their tracks.

    The numbers are kept from here on: what a reviewer says about track 3 must mean the same face after an update.
    """
    from processing.detectors import open_detector
    from processing.faces import detect_faces
    from processing.tracks import link

    plan, told, folder = sources_of(job)
    detector = open_detector(job.vision)
    looks = 0
    total = len(plan["cameras"])
    for done, camera in enumerate(plan["cameras"]):
        found = detect_faces(
            folder / told[camera]["file"],
            detector,
            job.vision,
            part_of(job.progress, done / total, (done + 1) / total),
        )
        _write_tracks(job.out / f"{camera}.tracks.json", link(found))
        looks += len(found.looks)
    return {"detector": detector.name, "examined_frames": looks}


def blur_step(job: Job) -> Result:
    """Decide about every track and render every camera with all but the kept faces, and every region, hidden."""
    from processing import blur, overrides, recognise, tracks

    plan, told, folder = sources_of(job)
    edits = job.params["edits"]
    strangers = sorted(set(edits) - set(plan["cameras"]))
    if strangers:
        raise EditsRejected(problem=f"no camera {strangers[0]}")
    templates = [Path(path).read_bytes() for path in job.params["templates"]]
    cameras = {}
    total = len(plan["cameras"])
    for done, camera in enumerate(plan["cameras"]):
        source = folder / told[camera]["file"]
        part = part_of(job.progress, done / total, (done + 1) / total)
        found = [
            tracks.Track.from_dict(raw) for raw in read_json(job.inputs["faces"] / f"{camera}.tracks.json")
        ]
        if templates:
            found = recognise.keep_enrolled(source, found, templates, job.vision, part_of(part, 0.0, 0.3))
        wanted = overrides.parse_overrides(edits.get(camera, {}))
        found = overrides.apply_overrides(found, wanted)
        _write_tracks(job.out / f"{camera}.tracks.json", found)
        rendered = blur.render(
            source,
            found,
            job.out / f"{camera}.mp4",
            style=job.vision.style,
            media=job.media,
            progress=part_of(part, 0.3, 1.0),
            regions=wanted.regions,
        )
        cameras[camera] = {
            **_count(found),
            "size_px": rendered.size_px,
            "span_s": rendered.span_s,
            "regions": blur.region_lines(wanted.regions, rendered),
        }
    return {"cameras": cameras}


def _count(found: list[Track]) -> Result:
    decisions = [track.decision for track in found]
    return {
        "kept": decisions.count("keep"),
        "blurred": decisions.count("blur"),
        "deleted": decisions.count("delete"),
        "tracks": [
            {
                "id": track.id,
                "first_frame": track.first_frame,
                "last_frame": track.last_frame,
                "decision": track.decision,
                "reason": track.reason,
            }
            for track in found
        ],
    }


def verify_step(job: Job) -> Result:
    """Attack our own output: look for faces that anybody could still recognise.

    What was found is told as alarms, with a picture of each, for the people who have to answer them.
    """
    from processing import moments, thumbnails, tracks, verify

    plan, told, folder = sources_of(job)
    templates = [Path(path).read_bytes() for path in job.params["templates"]]
    reports = {}
    alarms = []
    total = len(plan["cameras"])
    for done, camera in enumerate(plan["cameras"]):
        found = [
            tracks.Track.from_dict(raw) for raw in read_json(job.inputs["blur"] / f"{camera}.tracks.json")
        ]
        output = job.inputs["blur"] / f"{camera}.mp4"
        report = verify.attack(
            output,
            found,
            job.vision,
            part_of(job.progress, done / total, (done + 1) / total),
            original=folder / told[camera]["file"],
            templates=templates,
        )
        reports[camera] = report
        raised = moments.gather(camera, report.moments) if report.verdict == "fail" else []
        thumbnails.write_thumbnails(output, raised, report.moments, job.out)
        alarms += raised
    write_json(
        job.out / "verification.json", {camera: report.to_dict() for camera, report in reports.items()}
    )
    return {
        "verdict": "fail" if any(report.verdict == "fail" for report in reports.values()) else "pass",
        "moments": sum(len(report.moments) for report in reports.values()),
        "alarms": [alarm.to_dict() for alarm in alarms],
        "examined_frames": sum(report.examined_frames for report in reports.values()),
    }


def stream(job: Job) -> Result:
    """HLS in several renditions, an MP4, a poster and captions, for every camera; the main one on top."""
    from processing import hls

    plan = read_json(job.inputs["probe"] / "plan.json")
    media = read_json(job.inputs["probe"] / "media.json")
    told = read_json(job.inputs["ingest"] / "tracks.json")
    sound = job.inputs["redact"] / "sound.m4a"
    captions = (job.inputs["redact"] / "transcript.vtt").read_text()
    renditions = []
    total = len(plan["cameras"])
    for done, camera in enumerate(plan["cameras"]):
        folder = job.out / "media" if camera == plan["main_camera"] else job.out / "media" / camera
        info = hls.package_stream(
            job.inputs["blur"] / f"{camera}.mp4",
            sound if sound.exists() else None,
            captions,
            folder,
            media=job.media,
            # On the clock of the sound, which was lined up with the main camera.
            start_s=media[camera]["picture_start_s"]
            + told[camera]["start_s"]
            - told[plan["main_camera"]]["start_s"],
            progress=part_of(job.progress, done / total, (done + 1) / total),
        )
        if camera == plan["main_camera"]:
            renditions = [f"{r.width}x{r.height}" for r in info.renditions]
    return {"renditions": renditions}


def package(job: Job) -> Result:
    """The BagIt bag of everything that is published."""
    from archive.facts import facts_from_dict
    from archive.package import build_package

    source = job.folder / "payload"
    shutil.copytree(job.inputs["stream"] / "media", source / "media")
    for folder, step, names in (
        ("transcript", "redact", TRANSCRIPT_FILES),
        ("reports", "redact", ("redactions.json",)),
        ("reports", "verify", ("verification.json",)),
    ):
        (source / folder).mkdir(exist_ok=True)
        for name in names:
            shutil.copy(job.inputs[step] / name, source / folder / name)
    for path in sorted(job.inputs["blur"].glob("*.tracks.json")):
        shutil.copy(path, source / "reports" / path.name)
    write_json(source / "reports" / "resolutions.json", job.params["resolutions"])
    write_json(source / "reports" / "light.json", job.params["light"])
    write_json(source / "reports" / "processing.json", _processing_report(job))
    info = build_package(source, job.out / "bag", facts_from_dict(job.params["facts"]))
    return {"files": info.files, "bytes": info.size_bytes}


def _processing_report(job: Job) -> Result:
    """With what a case was made; durations are kept in the catalogue, so that a package is reproducible."""
    return {
        "speech": job.speech.model_dump(mode="json", exclude={"threads"}),
        "vision": job.vision.model_dump(mode="json", exclude={"yunet_path"}),
        "media": job.media.model_dump(mode="json"),
        "notes": job.params["notes"],
    }


STEP_FUNCTIONS: dict[str, Callable[[Job], Result]] = {
    "ingest": ingest,
    "probe": probe_step,
    **SPEECH_FUNCTIONS,
    "faces": faces,
    "blur": blur_step,
    "verify": verify_step,
    "stream": stream,
    "package": package,
}
