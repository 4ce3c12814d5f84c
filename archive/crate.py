"""The package's description of itself: RO-Crate 1.2 (https://w3id.org/ro/crate/1.2)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from archive.facts import PackageFacts, utc_text

CRATE_FILE = "ro-crate-metadata.json"
_FORMATS = {
    ".fhir.json": "application/fhir+json",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".rttm": "text/plain",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
}


def crate_metadata(facts: PackageFacts, sizes: dict[str, int]) -> dict[str, Any]:
    """The content of ``ro-crate-metadata.json`` for the files of ``sizes`` (path in the payload to bytes)."""
    from rocrate.model import ContextEntity, Person
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.2")
    expert = crate.add(Person(crate, "#expert", {"name": facts.expert_name}))
    base = {"@type": "Organization", "name": facts.base_name, "identifier": facts.base_code}
    rights = {"@type": "CreativeWork", "name": "rights", "description": facts.rights}
    root = crate.root_dataset
    root["identifier"] = facts.case
    root["name"] = facts.title
    root["description"] = (
        f"{facts.title} ({facts.kind}), {facts.base_name}, {utc_text(facts.recorded_at)[:10]}"
    )
    root["genre"] = facts.kind
    root["inLanguage"] = facts.language
    root["dateCreated"] = utc_text(facts.recorded_at)
    # The library stamps the time of the call; a package says when it was made.
    root["datePublished"] = utc_text(facts.packaged_at)
    root["author"] = expert
    root["publisher"] = crate.add(ContextEntity(crate, "#base", base))
    root["license"] = crate.add(ContextEntity(crate, "#rights", rights))
    for name in sorted(sizes):
        properties = {
            "name": PurePosixPath(name).name,
            "encodingFormat": _format(name),
            "contentSize": str(sizes[name]),
        }
        crate.add_file(dest_path=name, properties=properties)
    metadata: dict[str, Any] = crate.metadata.generate()
    return metadata


def _format(name: str) -> str:
    # ".json" ends a FHIR file too: the first that fits is the most exact one.
    fitting = (media_type for suffix, media_type in _FORMATS.items() if name.endswith(suffix))
    return next(fitting, "application/octet-stream")
