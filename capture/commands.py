"""The ffmpeg command of one input: what it records, and what it shows while it does.

One child opens the device once and writes up to three things: the segments; a picture a second or 16 kHz sound on its
standard output; and for a camera one line per picture with its time stamp on a pipe of its own, because only the
arrival of each picture tells where the camera's time lies on ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from capture.rig import Camera, Microphone, Rig, ffmpeg_binary
from capture.segments import list_name
from capture.sources import Opening

PREVIEW_LONG_PX = 960
PREVIEW_EVERY_S = 0.9
SOUND_RATE_HZ = 16_000
_NO_BURST_S = 0.001  # by itself -re plays half a second ahead
_QUIET = ("-hide_banner", "-loglevel", "error", "-nostats", "-nostdin", "-y")


@dataclass(frozen=True)
class Plan:
    """What one run of ffmpeg shall do. ``segment_s`` None: watch only. ``skip_s``: where in a file to begin."""

    segment_s: float | None
    first_index: int = 0
    skip_s: float = 0.0
    limit_s: float | None = None
    shown: bool = True


def is_live(device: Camera | Microphone) -> bool:
    """Whether this is a device, which goes on whether we look or not."""
    return device.input not in ("file", "test")


def is_network(device: Camera | Microphone) -> bool:
    """Whether its data come as RTP packets, of which only the next picture's first tells that a picture is whole."""
    return device.input in ("rtsp", "onvif")


def is_paced(device: Camera | Microphone) -> bool:
    """Whether its data come in the time they take."""
    return is_live(device) or device.realtime


def has_stamps(device: Camera | Microphone, plan: Plan) -> bool:
    """Whether the command writes a line per picture to the pipe for stamps."""
    recorded_as_it_comes = plan.segment_s is not None and is_paced(device)
    return isinstance(device, Camera) and (recorded_as_it_comes or device.codec == "copy")


def command_of(rig: Rig, device: Camera | Microphone, plan: Plan, stamps: str) -> Opening:
    """The whole command; ``stamps`` is the address of the pipe for time stamps. Raises FfmpegMissing, DeviceFailed."""
    source = rig.ffmpeg_input(device)
    command = [ffmpeg_binary(device.input), *_QUIET, *_before_input(device, plan), *source.arguments]
    if plan.segment_s is not None:
        command += [*_until(plan), *_recorded(device, plan.segment_s, plan.first_index, stamps, plan)]
    if plan.shown:
        command += [*_until(plan), *_shown(device)]
    if isinstance(device, Camera) and device.codec == "copy" and has_stamps(device, plan):
        command += [*_until(plan), "-map", "0:v:0", "-c:v", "copy", *_from_the_skip(device, plan)]
        command += ["-f", "framecrc", "-flush_packets", "1", stamps]
    return Opening(command, source.stdin)


def _before_input(device: Camera | Microphone, plan: Plan) -> list[str]:
    options: list[str] = []
    if isinstance(device, Camera) and device.codec == "copy" and plan.shown:
        options += ["-skip_frame", "nokey", "-threads", "1"]
    if isinstance(device, Camera) and device.codec == "encode" and is_live(device):
        options += ["-thread_type", "slice"]  # decoding whole pictures side by side makes each come later
    if plan.segment_s is None and not is_paced(device):
        options += ["-re"]
    if not is_live(device) and is_paced(device):
        options += ["-readrate_initial_burst", str(_NO_BURST_S)]
    if device.input == "file" and plan.skip_s > 0:
        options += ["-ss", f"{plan.skip_s:.6f}"]
    return options


def _until(plan: Plan) -> list[str]:
    return [] if plan.limit_s is None else ["-t", f"{plan.limit_s:.3f}"]


def _from_the_skip(camera: Camera, plan: Plan) -> list[str]:
    """A copied file otherwise begins with the keyframe before the place it was asked for."""
    return ["-copypriorss:v", "0"] if camera.input == "file" and plan.skip_s > 0 else []


def _recorded(
    device: Camera | Microphone, segment_s: float, first_index: int, stamps: str, plan: Plan
) -> list[str]:
    if isinstance(device, Camera):
        stream, suffix, muxer = "0:v:0", "mkv", "matroska"
        codec = [*_video_codec(device, segment_s, stamps, plan), *_from_the_skip(device, plan)]
    else:
        stream, suffix, muxer = "0:a:0", "flac", "flac"
        codec = _sound_codec(device)
    # Without the second option the B-frames of a copied stream would shift it against the sound.
    timing = ["-reset_timestamps", "1", "-avoid_negative_ts", "disabled"]
    cut = ["-f", "segment", "-segment_time", f"{segment_s:g}", "-segment_format", muxer, *timing]
    listed = ["-segment_list", list_name(first_index), "-segment_list_type", "csv"]
    numbered = ["-segment_start_number", str(first_index), f"%05d.{suffix}"]
    return ["-map", stream, *codec, *cut, *listed, *numbered]


def _sound_codec(microphone: Microphone) -> list[str]:
    # A device's stamps come from the wall clock, which somebody may set; its samples count time themselves.
    counted = ["-af", "asetpts=N/SR/TB"] if is_live(microphone) else []
    return ["-c:a", "flac", *counted, *(["-ar", str(microphone.rate_hz)] if microphone.rate_hz else [])]


def _video_codec(camera: Camera, segment_s: float, stamps: str, plan: Plan) -> list[str]:
    if camera.codec == "copy":
        return ["-c:v", "copy"]
    size = ["-vf", f"scale={camera.width}:{camera.height}"] if camera.width and camera.height else []
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    # Exactly the source's frames, none doubled or dropped to make the rate even, each at the source's own time.
    timing = ["-fps_mode", "passthrough", "-enc_time_base", "demux"]
    # Counted from the last one: of a camera whose stamps jump ahead every picture would become a keyframe, and a segment.
    keyframes = ["-force_key_frames", f"expr:isnan(prev_forced_t)+gte(t,prev_forced_t+{segment_s:g})"]
    told = ["-stats_enc_pre", stamps, "-stats_enc_pre_fmt", "{t}"] if has_stamps(camera, plan) else []
    return [*size, *encoder, *timing, *keyframes, *told]


def _shown(device: Camera | Microphone) -> list[str]:
    if isinstance(device, Camera):
        once = f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{PREVIEW_EVERY_S})'"
        box = f"'min({PREVIEW_LONG_PX},iw)':'min({PREVIEW_LONG_PX},ih)'"
        size = f"scale={box}:force_original_aspect_ratio=decrease:force_divisible_by=2"
        picture = ["-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe"]
        return ["-map", "0:v:0", "-vf", f"{once},{size}", *picture, "-flush_packets", "1", "pipe:1"]
    sound = ["-ac", "1", "-ar", str(SOUND_RATE_HZ), "-c:a", "pcm_f32le", "-f", "f32le"]
    return ["-map", "0:a:0", *sound, "-flush_packets", "1", "pipe:1"]
