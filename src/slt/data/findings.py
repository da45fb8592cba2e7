"""Problems found in a manifest's clips, as data and as messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slt.data.manifest import Clip
from slt.env.checks import Status

SHORTEST_S, LONGEST_S = 0.2, 60.0
FASTEST = 40.0  # characters per second; fluent signing is read out at about 15
LONGEST_TEXT = 300  # characters


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that may be wrong with clips.

    Attributes:
        name: in a word or two.
        status: how bad it is when it is met.
        expected: what should be so.
        fix: what to do about it.
        drops: whether a clean manifest goes without these clips.
    """

    name: str
    status: Status
    expected: str
    fix: str
    drops: bool


_CLEAN = "mend the manifest, or let --fix leave these out"
CHECKS = {
    check.name: check
    for check in (
        Check(name="rows", status="fail", expected="every row makes a clip", fix=_CLEAN, drops=True),
        Check(name="ids", status="fail", expected="no id in two manifests", fix=_CLEAN, drops=True),
        Check(name="video files", status="fail", expected="what is named is there", fix=_CLEAN, drops=True),
        Check(name="keypoint files", status="fail", expected="what is named can be read", fix=_CLEAN, drops=True),
        Check(name="nothing to see", status="warn", expected="video, keypoints or features", fix=_CLEAN, drops=True),
        Check(name="features", status="fail", expected="(N, one width), finite", fix="extract them again", drops=True),
        Check(name="decoding", status="fail", expected="videos can be read", fix=_CLEAN, drops=True),
        Check(name="oddities", status="warn", expected="nothing odd in videos", fix="look at these", drops=False),
        Check(
            name="no signing",
            status="warn",
            expected="somebody signs in every clip",
            fix="leave them out of train; in a test set, say so beside your results",
            drops=False,
        ),
        Check(name="texts", status="warn", expected="a sentence each", fix=_CLEAN, drops=True),
        Check(
            name="long texts",
            status="warn",
            expected=f"at most {LONGEST_TEXT} characters",
            fix="look whether several sentences run together",
            drops=False,
        ),
        Check(
            name="letters",
            status="warn",
            expected="texts in the Unicode form NFC",
            fix="convert the texts to NFC, or score with slt evaluate --normalise NFC",
            drops=False,
        ),
        Check(
            name="durations",
            status="warn",
            expected=f"{SHORTEST_S} to {LONGEST_S:g} s",
            fix=_CLEAN,
            drops=True,
        ),
        Check(
            name="reading speed",
            status="warn",
            expected=f"at most {FASTEST:g} characters per second",
            fix="such times are mostly wrong: let --fix leave these out",
            drops=True,
        ),
        Check(name="same clip twice", status="fail", expected="one clip per segment", fix=_CLEAN, drops=True),
        Check(
            name="clip in two splits",
            status="fail",
            expected="splits share no moment of a video",
            fix=_CLEAN,
            drops=True,
        ),
        Check(
            name="video in two splits",
            status="warn",
            expected="splits share no video",
            fix="say so beside your results",
            drops=False,
        ),
        Check(
            name="sentence in two splits",
            status="warn",
            expected="splits share no sentence",
            fix="say so beside your results, or give both figures",
            drops=False,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing wrong with one row.

    Attributes:
        check: a name of ``CHECKS``.
        manifest: which of the manifests, counted from 0.
        row: the clip's id, or "line 7" where there is no clip.
        reason: what was found.
    """

    check: str
    manifest: int
    row: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip and where it stands.

    Attributes:
        manifest: which of the manifests, counted from 0.
        split: the part of the corpus.
        clip: as the manifest has it.
        video: where its video should lie.
        has_video: it is there.
        has_features: it has features.
        keypoints: where its keypoint file should lie; None: none is named.
        keypoints_s: how long its keypoint file is, in seconds; None: it has none, or one that cannot be read.
        complaint: why its keypoint file cannot be read.
    """

    manifest: int
    split: str
    clip: Clip
    video: Path | None
    has_video: bool
    has_features: bool
    keypoints: Path | None = None
    keypoints_s: float | None = None
    complaint: str | None = None

    @property
    def duration_s(self) -> float | None:
        """How long the clip is: as the manifest says, else by its keypoint file; None: unknown."""
        said = self.clip.duration_s
        if said is None and self.keypoints_s is not None:
            return max(self.keypoints_s - (self.clip.start_s or 0.0), 0.0)
        return said

    @property
    def recording(self) -> str | None:
        """What was filmed in one go, as far as the manifest tells."""
        return self.clip.extra.get("source") or (str(self.video) if self.video else None)

    @property
    def segment(self) -> tuple[float, float]:
        """Where it lies in its recording, in seconds."""
        own = (self.clip.start_s, self.clip.end_s)
        start, end = (self.clip.extra.get(f"source_{name}_s") for name in ("start", "end"))
        if start is None and end is None:
            return own[0] or 0.0, float("inf") if own[1] is None else own[1]
        return float(start or 0.0), float(end or "inf")


def finding(check: str, entry: Entry, reason: str) -> Finding:
    """Return that ``check`` does not hold for a clip."""
    return Finding(check=check, manifest=entry.manifest, row=entry.clip.id, reason=f"{entry.clip.id}: {reason}")
