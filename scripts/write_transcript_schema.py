"""Writes processing/transcript.schema.json anew, after a change of the transcript's model."""

from __future__ import annotations

import json
from pathlib import Path

from processing.transcript import transcript_schema

SCHEMA = Path(__file__).parents[1] / "processing" / "transcript.schema.json"


def main() -> None:
    SCHEMA.write_text(json.dumps(transcript_schema(), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
