"""Every setting of Yian: one frozen model per folder, from ``yian.toml`` and ``YIAN_*`` variables.

A variable is spelled ``YIAN_<SECTION>__<NAME>`` (``YIAN_STORE__URL``). A variable that names no setting is an
error, so that a typing mistake never leaves a clinic running on a default it did not choose.
"""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from config.errors import SettingsInvalid
from config.problem import first_problem

ENV_PREFIX = "YIAN_"
SETTINGS_FILE = Path("yian.toml")
DATABASE_URL = r"^$|^(sqlite:///|postgres(ql)?(\+psycopg)?://)\S+$"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseSite(Section):
    """The teaching clinic (基地) this installation serves."""

    code: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,12}$", description="short code of the base")] = "BJ01"
    name: Annotated[str, Field(min_length=1, description="name of the base as shown on screen")] = "示范基地"
    timezone: Annotated[str, Field(description="IANA zone in which times are shown")] = "Asia/Shanghai"
    rights: Annotated[str, Field(min_length=1, description="written agreement on the use of its cases")] = (
        "仅供协议约定的基地教学与研究使用，未经书面许可不得外传。 "
        "For teaching and research within the agreed bases only; not to be passed on without written permission."
    )
    case_target: Annotated[int, Field(ge=1, description="published cases owed over the programme")] = 300
    session_target: Annotated[int, Field(ge=1, description="remote sessions owed over the programme")] = (
        12_000
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value


def clinic_spans(text: str) -> tuple[tuple[time, time], ...]:
    """``08:00-12:00,13:30-17:30`` as pairs of times; empty: none. Raises ValueError."""
    spans = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        start, _, end = part.partition("-")
        try:
            span = time.fromisoformat(start.strip()), time.fromisoformat(end.strip())
        except ValueError as error:
            raise ValueError(f"{part!r} is not HH:MM-HH:MM") from error
        if span[0] >= span[1]:
            raise ValueError(f"{part!r} ends before it begins")
        spans.append(span)
    return tuple(spans)


class ArchiveSettings(Section):
    """archive/: what is kept and where."""

    catalog_url: Annotated[
        str,
        Field(pattern=DATABASE_URL, description="SQLAlchemy URL of the catalogue; empty: SQLite under home"),
    ] = ""
    consent_valid_days: Annotated[int, Field(ge=1, description="days a signed consent stays valid")] = 1096
    watch_threshold_s: Annotated[
        float, Field(gt=0, description="seconds of a case that count as a remote session")
    ] = 300.0
    watch_threshold_share: Annotated[
        float, Field(gt=0, le=1, description="share of a shorter case that counts as a remote session")
    ] = 0.5
    attachment_max_mb: Annotated[int, Field(ge=1, le=256, description="largest attachment, MiB")] = 64
    attachment_max_count: Annotated[int, Field(ge=1, le=500, description="attachments per consultation")] = 40
    attachment_timeout_s: Annotated[
        float, Field(gt=0, le=600, description="longest cleaning of one attachment, s")
    ] = 60.0
    attachment_memory_mb: Annotated[
        int, Field(ge=256, description="address space of the cleaning of one attachment, MiB")
    ] = 1536
    room_silent_s: Annotated[
        float, Field(ge=10, description="seconds without a word from a room before it is a warning")
    ] = 180.0
    room_clock_s: Annotated[
        float, Field(gt=0, description="deviation of a station's clock that is a warning, s")
    ] = 30.0
    plan_length_s: Annotated[
        float, Field(ge=60, le=4 * 3600, description="planned length of a consultation, s")
    ] = 1200.0


class StoreSettings(Section):
    """The object store."""

    url: Annotated[
        str, Field(description="s3://host:port/bucket, file:///folder, or empty: a folder under home")
    ] = ""
    access_key: Annotated[str, Field(description="S3 access key")] = ""
    secret_key: Annotated[SecretStr, Field(description="S3 secret key")] = SecretStr("")
    secure: Annotated[bool, Field(description="use TLS towards S3")] = True
    region: Annotated[str, Field(description="S3 region")] = "us-east-1"
    timeout_s: Annotated[float, Field(gt=0, description="seconds before an S3 call is given up")] = 30.0


class CaptureSettings(Section):
    """capture/: the station in the consulting room."""

    core_url: Annotated[str, Field(description="address of the core that agents call")] = (
        "http://127.0.0.1:8800"
    )
    token: Annotated[SecretStr, Field(description="the station's access token")] = SecretStr("")
    segment_s: Annotated[float, Field(ge=1, le=60, description="length of a recorded segment")] = 4.0
    upload_retry_s: Annotated[float, Field(gt=0, description="longest pause between upload attempts")] = 30.0
    upload_cap_kbps: Annotated[
        float, Field(ge=0, description="most an upload may use in clinic hours, kbit/s; 0: no cap")
    ] = 0.0
    clinic_hours: Annotated[
        str,
        Field(description="when the upload cap holds, in the base's zone: HH:MM-HH:MM, separated by commas"),
    ] = "08:00-12:00,13:30-17:30"
    keep_local_days: Annotated[
        float,
        Field(ge=0, le=3650, description="days a station keeps its copy of what the core has in full"),
    ] = 7.0
    disk_reserve_mb: Annotated[
        int, Field(ge=1, description="free disk that a recording must leave; below twice that, copies go")
    ] = 512
    room: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="name of the consulting room at the core"),
    ] = "room-1"
    planned_minutes: Annotated[
        float,
        Field(gt=0, le=480, description="length of a consultation that the plan does not tell, minutes"),
    ] = 20.0
    heartbeat_s: Annotated[
        float, Field(ge=1, le=300, description="how often the core hears of the station")
    ] = 10.0
    station_pin: Annotated[
        SecretStr,
        Field(description="PIN of the station's page; needed when it listens beyond its own machine"),
    ] = SecretStr("")
    station_hosts: Annotated[
        tuple[str, ...], Field(description="further names under which the station's page is asked for")
    ] = ()
    lux_target: Annotated[float, Field(gt=0, description="illuminance wanted at the desk, lx")] = 800.0
    lux_tolerance: Annotated[float, Field(gt=0, lt=1, description="accepted relative deviation")] = 0.10
    cct_min_k: Annotated[float, Field(gt=1000, description="lowest accepted CCT, K")] = 4000.0
    cct_max_k: Annotated[float, Field(gt=1000, description="highest accepted CCT, K")] = 5000.0
    duv_max: Annotated[
        float,
        Field(gt=0, le=0.05, description="accepted distance from white, Duv; ANSI C78.377 allows 0.006"),
    ] = 0.006
    cri_min: Annotated[float, Field(gt=0, lt=100, description="lowest accepted colour rendering, Ra")] = 90.0
    light_reading_max_age_h: Annotated[
        float, Field(gt=0, description="hours for which a spectrometer's lux and CCT still count as now")
    ] = 12.0
    spectrum_max_age_days: Annotated[
        int, Field(ge=1, description="days for which a spectrometer's Ra still counts")
    ] = 180
    certificate_max_age_days: Annotated[
        int, Field(ge=1, description="days for which a lamp's certificate still counts")
    ] = 1096

    @field_validator("clinic_hours")
    @classmethod
    def _known_hours(cls, value: str) -> str:
        clinic_spans(value)
        return value

    @property
    def clinic_spans(self) -> tuple[tuple[time, time], ...]:
        """The clinic's hours as (start, end) pairs."""
        return clinic_spans(self.clinic_hours)


class ProcessingSettings(Section):
    """processing/: from recording to package."""

    jobs_url: Annotated[
        str,
        Field(pattern=DATABASE_URL, description="database of the durable engine; empty: SQLite under home"),
    ] = ""
    lease_poll_s: Annotated[float, Field(gt=0, le=60, description="pause between looks for dead workers")] = (
        1.0
    )
    max_takeovers: Annotated[int, Field(ge=1, description="deaths of workers before a case is poison")] = 3
    concurrency: Annotated[int, Field(ge=1, description="cases one worker processes at a time")] = 1
    step_timeout_s: Annotated[float, Field(gt=0, description="longest run of one step")] = 6 * 3600.0
    step_memory_mb: Annotated[int, Field(ge=512, description="address space a step may use")] = 8192
    step_retries: Annotated[
        int, Field(ge=1, description="tries of a step while something is unreachable")
    ] = 6
    retry_pause_s: Annotated[float, Field(gt=0, description="first pause before a retried step; doubles")] = (
        1.0
    )
    min_free_mb: Annotated[int, Field(ge=1, description="free disk below which no step starts")] = 512


class SpeechSettings(Section):
    """Recognition of speech."""

    model: Annotated[
        str, Field(description="Whisper-family model: folder or name; 'demo' is the built-in toy model")
    ] = "demo"
    language: Annotated[str, Field(min_length=2, description="spoken language")] = "zh"
    beam_size: Annotated[int, Field(ge=1, le=20, description="beam width of the decoder")] = 5
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="where models run; auto: a GPU when one works")
    ] = "auto"
    compute_type: Annotated[
        str, Field(description="CTranslate2 number format; auto: int8 on CPU, float16 on a GPU")
    ] = "auto"
    threads: Annotated[int, Field(ge=0, description="CPU threads; 0: all")] = 0
    batch: Annotated[int, Field(ge=0, le=64, description="windows recognised at once; 0: 4, on a GPU 16")] = 0
    window_s: Annotated[
        float,
        Field(
            ge=0,
            le=28,
            description="speech heard at once, s; 0: each turn by itself (as the demo model does)",
        ),
    ] = 28.0
    prompt_characters: Annotated[
        int, Field(ge=0, le=200, description="length of the prompt made of the TCM lexicon; 0: none")
    ] = 100
    hotwords: Annotated[int, Field(ge=0, le=100, description="lexicon terms given as hot words; 0: none")] = (
        30
    )
    pyannote_python: Annotated[
        str, Field(description="Python that has pyannote.audio; empty: that of scripts/install-pyannote")
    ] = ""
    pyannote_pipeline: Annotated[
        str,
        Field(min_length=1, description="pipeline that separates a mixed channel: folder or name on the hub"),
    ] = "pyannote/speaker-diarization-community-1"
    pyannote_timeout_s: Annotated[
        float, Field(gt=0, le=86_400, description="longest separation of one mixed channel")
    ] = 10_800.0
    speakers_min: Annotated[
        int | None, Field(ge=1, le=20, description="fewest voices in a mixed channel; empty: not known")
    ] = None
    speakers_max: Annotated[
        int | None, Field(ge=1, le=20, description="most voices in a mixed channel; empty: not known")
    ] = None
    # Never dumped: the settings of a step are written to disk.
    hub_token: Annotated[
        SecretStr,
        Field(
            exclude=True,
            description="access token of the model hub; without token and mirror it is never asked",
        ),
    ] = SecretStr("")
    hub_endpoint: Annotated[
        str, Field(pattern=r"^$|^https?://\S+$", description="mirror of the model hub; empty: the hub itself")
    ] = ""

    @model_validator(mode="after")
    def _fewest_first(self) -> Self:
        if self.speakers_min and self.speakers_max and self.speakers_min > self.speakers_max:
            raise ValueError("speakers_min is more than speakers_max")
        return self


class VisionSettings(Section):
    """Faces: detection, tracks, blurring and the attack on our own output."""

    detector: Annotated[
        Literal["centerface", "yunet"], Field(description="face detector that drives the blur")
    ] = "centerface"
    yunet_path: Annotated[str, Field(description="YuNet ONNX file; empty: none")] = ""
    detect_width_px: Annotated[
        int, Field(ge=160, le=640, description="width frames are reduced to for detection")
    ] = 640
    detect_score: Annotated[
        float | None,
        Field(gt=0, lt=1, description="score from which a detection is a face; empty: the detector's own"),
    ] = None
    style: Annotated[Literal["mosaic", "blur", "solid"], Field(description="how a face is hidden")] = "blur"
    keep_distance: Annotated[
        float,
        Field(
            gt=0,
            le=0.42,
            description="largest dlib distance from an enrolled template to looks taken together that keeps a face",
        ),
    ] = 0.42


class MediaSettings(Section):
    """What is published."""

    heights_px: Annotated[
        tuple[int, ...], Field(min_length=1, description="heights of the streamed renditions, largest first")
    ] = (720, 360)
    segment_s: Annotated[float, Field(ge=1, le=12, description="length of an HLS segment")] = 6.0
    keyframe_s: Annotated[float, Field(ge=0.5, le=10, description="distance of keyframes")] = 2.0
    crf: Annotated[int, Field(ge=0, le=51, description="x264 quality; smaller is better")] = 23
    preset: Annotated[str, Field(description="x264 speed preset")] = "veryfast"
    audio_kbps: Annotated[int, Field(ge=32, le=512, description="bit rate of published sound, kbit/s")] = 128
    max_hours: Annotated[float, Field(gt=0, description="longest recording accepted, hours")] = 6.0


class WebSettings(Section):
    """api/: the web server."""

    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port to listen on")] = 8800
    session_hours: Annotated[float, Field(gt=0, description="hours until one has to log in again")] = 12.0
    https: Annotated[bool, Field(description="served behind TLS: cookies are marked Secure")] = False
    login_attempts: Annotated[int, Field(ge=1, description="wrong passwords before a pause")] = 5
    login_pause_s: Annotated[float, Field(gt=0, description="length of that pause")] = 60.0
    max_upload_mb: Annotated[int, Field(ge=1, description="largest single upload")] = 2048
    language: Annotated[
        Literal["zh-CN", "en"], Field(description="language when the user has chosen none")
    ] = "zh-CN"


class Settings(BaseSettings):
    """The whole configuration, frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Annotated[Path, Field(description="folder for everything kept on this machine")] = Path("yian-data")
    base: BaseSite = BaseSite()
    archive: ArchiveSettings = ArchiveSettings()
    store: StoreSettings = StoreSettings()
    capture: CaptureSettings = CaptureSettings()
    processing: ProcessingSettings = ProcessingSettings()
    speech: SpeechSettings = SpeechSettings()
    vision: VisionSettings = VisionSettings()
    media: MediaSettings = MediaSettings()
    web: WebSettings = WebSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get("YIAN_SETTINGS", SETTINGS_FILE))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    @property
    def catalog_url(self) -> str:
        return self.archive.catalog_url or f"sqlite:///{self.home.resolve() / 'catalog.db'}"

    @property
    def jobs_url(self) -> str:
        return self.processing.jobs_url or f"sqlite:///{self.home.resolve() / 'jobs.db'}"

    @property
    def store_url(self) -> str:
        return self.store.url or (self.home.resolve() / "store").as_uri()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.base.timezone)


def _unknown_names(environ: dict[str, str]) -> list[str]:
    known = {f"{ENV_PREFIX}HOME", f"{ENV_PREFIX}SETTINGS"}
    for section, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            known.update(f"{ENV_PREFIX}{section}__{name}".upper() for name in annotation.model_fields)
            known.add(f"{ENV_PREFIX}{section}".upper())
    return sorted(name for name in environ if name.startswith(ENV_PREFIX) and name.upper() not in known)


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, ``yian.toml`` (or the file in ``YIAN_SETTINGS``) and ``overrides``.

    Raises SettingsInvalid naming the first setting that is wrong.
    """
    named = os.environ.get("YIAN_SETTINGS")
    if named and not Path(named).is_file():
        raise SettingsInvalid(problem=f"YIAN_SETTINGS: {named} is not a file")
    unknown = _unknown_names(dict(os.environ))
    if unknown:
        raise SettingsInvalid(problem=f"{unknown[0]}: no such setting")
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsInvalid(problem=first_problem(error)) from error
