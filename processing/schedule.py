"""Which areas are covered in which frame."""

from __future__ import annotations

from collections.abc import Sequence

from processing.geometry import Box, area_of, union
from processing.tracks import Track

# For how long a covered area may rest, and by how much it may grow for that.
REST_S, REST_GROWTH = 0.25, 1.15


class Schedule:
    """The areas to blur, frame by frame, without asking every track of a long recording each time.

    An area rests while that takes little more of the picture: a cover that moves in every frame costs x264 a sixth of
    its time and, in a calm scene, a quarter of the file.
    """

    def __init__(self, tracks: Sequence[Track], fps: float) -> None:
        blurred = [track for track in tracks if track.decision == "blur"]
        self._to_come = sorted(blurred, key=lambda track: (track.first_frame, track.id), reverse=True)
        self._alive: list[Track] = []
        self._longest = max(1, round(REST_S * fps))
        self._resting: dict[int, tuple[int, Box]] = {}

    def areas(self, frame: int) -> list[Box]:
        """Those of ``frame``; to be asked for one frame after the other."""
        while self._to_come and self._to_come[-1].first_frame <= frame:
            self._alive.append(self._to_come.pop())
        # Where covers meet, those over faces that are there come last: no other's edge is drawn across them.
        self._alive = sorted(
            (track for track in self._alive if track.last_frame >= frame),
            key=lambda track: (track.looks[0].frame <= frame <= track.looks[-1].frame, track.id),
        )
        self._resting = {track.id: self._rest(track, frame) for track in self._alive}
        return [box for _, box in self._resting.values()]

    def _rest(self, track: Track, frame: int) -> tuple[int, Box]:
        """The last frame in which the area may rest, and the area: all that is to be hidden until then."""
        resting = self._resting.get(track.id)
        if resting is not None and frame <= resting[0]:
            return resting
        last = min(track.last_frame, frame + self._longest - 1)
        boxes = [box for at in range(frame, last + 1) if (box := track.area_at(at)) is not None]
        together = boxes[0]
        largest_px = REST_GROWTH * area_of(together)
        for until, box in enumerate(boxes, frame):
            if area_of(union(together, box)) > largest_px:
                return until - 1, together
            together = union(together, box)
        return last, together
