"""Addresses, sizes and licences of published files; data only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from slt.core.errors import UserError
from slt.core.home import slt_home
from slt.core.registry import did_you_mean

SONAR_ASL = "sonar-asl"
_HOST = "https://dl.fbaipublicfiles.com"
_BYTES_PER_PARAMETER = 4
# What is far smaller is an error page, or was cut off; half precision would still pass.
_SMALLEST_SHARE = 0.4


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file to fetch.

    Attributes:
        name: under which it is kept.
        url: where its authors put it.
        about_bytes: its size, estimated from the number of parameters: it is not published.
        summary: what it is.
        to_translate: whether translating needs it.
    """

    name: str
    url: str
    about_bytes: int
    summary: str
    to_translate: bool = True

    @property
    def smallest_bytes(self) -> int:
        """The size under which a file cannot be this one."""
        return int(self.about_bytes * _SMALLEST_SHARE)


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A model that can be fetched.

    Attributes:
        summary: one sentence on what it translates.
        licence: of the weights, as an SPDX name.
        notice: the licence in a sentence: shown before a file is fetched, and recorded with it.
        files: what it consists of.
    """

    summary: str
    licence: str
    notice: str
    files: tuple[PublishedFile, ...]

    def choose(self, *, text_encoder: bool) -> tuple[PublishedFile, ...]:
        """Return the files that translating needs, and the text encoder when it is wanted too."""
        return tuple(file for file in self.files if file.to_translate or text_encoder)


PUBLISHED: Mapping[str, PublishedModel] = MappingProxyType(
    {
        SONAR_ASL: PublishedModel(
            summary="American Sign Language (one news signer, 70 hours of DailyMoth) into SONAR's languages",
            licence="CC-BY-NC-4.0",
            notice="CC-BY-NC 4.0, by Meta: name the authors, and not for commercial use;"
            " https://creativecommons.org/licenses/by-nc/4.0/",
            files=(
                PublishedFile(
                    name="dm_70h_ub_signhiera.pth",
                    url=f"{_HOST}/SONAR/asl/dm_70h_ub_signhiera.pth",
                    about_bytes=51_100_000 * _BYTES_PER_PARAMETER,
                    summary="SignHiera: video to features",
                ),
                PublishedFile(
                    name="dm_70h_ub_sonar_encoder.pth",
                    url=f"{_HOST}/SONAR/asl/dm_70h_ub_sonar_encoder.pth",
                    about_bytes=752_000_000 * _BYTES_PER_PARAMETER,
                    summary="sign encoder: features to a sentence embedding",
                ),
                PublishedFile(
                    name="sonar_text_decoder.pt",
                    url=f"{_HOST}/SONAR/sonar_text_decoder.pt",
                    about_bytes=867_000_000 * _BYTES_PER_PARAMETER,
                    summary="text decoder: sentence embedding to text",
                ),
                PublishedFile(
                    name="sentencepiece.source.256000.model",
                    url=f"{_HOST}/SONAR/sentencepiece.source.256000.model",
                    about_bytes=4_900_000,
                    summary="tokenizer of the text models",
                ),
                PublishedFile(
                    name="sonar_text_encoder.pt",
                    url=f"{_HOST}/SONAR/sonar_text_encoder.pt",
                    about_bytes=766_000_000 * _BYTES_PER_PARAMETER,
                    summary="text encoder: text to a sentence embedding, for training and ranking",
                    to_translate=False,
                ),
            ),
        )
    }
)

PUBLISHED_DETECTORS: Mapping[str, PublishedModel] = MappingProxyType(
    {
        "dlib-cnn": PublishedModel(
            summary="dlib's neural face detector, as the published pipeline uses it unless told otherwise",
            licence="CC0-1.0",
            notice="CC0 1.0, by the author of dlib: in the public domain",
            files=(
                PublishedFile(
                    name="mmod_human_face_detector.dat.bz2",
                    url="https://dlib.net/files/mmod_human_face_detector.dat.bz2",
                    about_bytes=680_000,
                    summary="faces in a picture",
                ),
            ),
        )
    }
)
"""What finds faces and comes as a file of its own; no bundle is made of it."""

WHOLEBODY = "wholebody"
_MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects"

PUBLISHED_POSE: Mapping[str, PublishedModel] = MappingProxyType(
    {
        WHOLEBODY: PublishedModel(
            summary="133 whole-body points, for --extractor wholebody: YOLOX-tiny and RTMW-l-m, as Uni-Sign uses them",
            licence="Apache-2.0",
            notice="Apache 2.0, by OpenMMLab, as its repositories say; https://www.apache.org/licenses/LICENSE-2.0",
            files=(
                PublishedFile(
                    name="yolox_tiny_8xb8-300e_humanart-6f3252f9.zip",
                    url=f"{_MMPOSE}/rtmposev1/onnx_sdk/yolox_tiny_8xb8-300e_humanart-6f3252f9.zip",
                    about_bytes=19_000_000,
                    summary="people in a picture",
                ),
                PublishedFile(
                    name="rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122.zip",
                    url=f"{_MMPOSE}/rtmw/onnx_sdk/rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122.zip",
                    about_bytes=120_000_000,
                    summary="their points",
                ),
            ),
        )
    }
)
"""What finds keypoints and comes as files of its own, in the order detector, points; no bundle is made of it."""

HUB = "https://huggingface.co"

PUBLISHED_JUDGES: Mapping[str, PublishedModel] = MappingProxyType(
    {
        "blaser": PublishedModel(
            summary="BLASER 2.0, which judges translations by their SONAR embeddings: for slt evaluate",
            licence="CC-BY-NC-4.0",
            notice="CC-BY-NC 4.0, by Meta: name the authors, and not for commercial use;"
            " https://creativecommons.org/licenses/by-nc/4.0/",
            files=(
                PublishedFile(
                    name="blaser-2.0-ref.pt",
                    url=f"{HUB}/facebook/blaser-2.0-ref/resolve/main/model.pt",
                    about_bytes=23_600_000 * _BYTES_PER_PARAMETER,
                    summary="with a reference translation",
                ),
                PublishedFile(
                    name="blaser-2.0-qe.pt",
                    url=f"{HUB}/facebook/blaser-2.0-qe/resolve/main/model.pt",
                    about_bytes=17_300_000 * _BYTES_PER_PARAMETER,
                    summary="without one",
                ),
            ),
        )
    }
)
"""What scores translations and comes as files of its own."""


def _text_model(path: str, licence: str, notice: str, n_parameters: int, summary: str) -> PublishedModel:
    """Return a text model as transformers' hub has it; all but the T5 of the first version are torch checkpoints."""
    name = path.partition("/")[2]
    is_t5 = name.startswith(("t5", "flan-t5"))
    files = {
        "config.json": (1_300, "its shape"),
        "model.safetensors" if is_t5 else "pytorch_model.bin": (n_parameters * _BYTES_PER_PARAMETER, "its weights"),
        **_TOKENIZERS[name.partition("-")[0]],
    }
    return PublishedModel(
        summary=summary,
        licence=licence,
        notice=notice,
        files=tuple(
            PublishedFile(name=file, url=f"{HUB}/{path}/resolve/main/{file}", about_bytes=size, summary=what)
            for file, (size, what) in files.items()
        ),
    )


_TOKENIZERS: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "t5": {"spiece.model": (792_000, "its tokenizer")},
    "flan": {"spiece.model": (792_000, "its tokenizer")},
    "mt5": {"spiece.model": (4_309_000, "its tokenizer")},
    "byt5": {},  # it reads bytes
    "mbart": {"sentencepiece.bpe.model": (5_069_000, "its tokenizer")},
    "nllb": {"sentencepiece.bpe.model": (4_852_000, "its tokenizer")},
}
_APACHE = ("Apache-2.0", "Apache 2.0, by Google; https://www.apache.org/licenses/LICENSE-2.0")
_MIT = ("MIT", "MIT, by Meta, as fairseq says of its pre-trained models; https://opensource.org/license/mit")

PUBLISHED_TEXT: Mapping[str, PublishedModel] = MappingProxyType(
    {
        "t5-small": _text_model("google-t5/t5-small", *_APACHE, 60_500_000, "T5 small, for slt train-translator"),
        "t5-base": _text_model("google-t5/t5-base", *_APACHE, 222_900_000, "T5 base, for slt train-translator"),
        "flan-t5-small": _text_model("google/flan-t5-small", *_APACHE, 77_000_000, "T5 small, tuned to follow orders"),
        "flan-t5-base": _text_model("google/flan-t5-base", *_APACHE, 247_600_000, "T5 base, tuned to follow orders"),
        "mt5-small": _text_model("google/mt5-small", *_APACHE, 300_200_000, "mT5 small, of 101 languages"),
        "mt5-base": _text_model("google/mt5-base", *_APACHE, 582_400_000, "mT5 base, of 101 languages; Uni-Sign's"),
        "byt5-small": _text_model("google/byt5-small", *_APACHE, 299_600_000, "ByT5 small, which writes bytes"),
        "byt5-base": _text_model("google/byt5-base", *_APACHE, 581_700_000, "ByT5 base, which writes bytes"),
        "mbart-large-cc25": _text_model("facebook/mbart-large-cc25", *_MIT, 610_900_000, "mBART of 25 languages"),
        "mbart-large-50": _text_model("facebook/mbart-large-50", *_MIT, 610_900_000, "mBART of 52 languages"),
        "nllb-200-distilled-600M": _text_model(
            "facebook/nllb-200-distilled-600M",
            "CC-BY-NC-4.0",
            "CC-BY-NC 4.0, by Meta: name the authors, and not for commercial use;"
            " https://creativecommons.org/licenses/by-nc/4.0/",
            615_100_000,
            "NLLB of 202 languages",
        ),
    }
)
"""What text decoders can begin with, and comes as a folder of files."""

FETCHABLE: Mapping[str, PublishedModel] = MappingProxyType(
    {**PUBLISHED, **PUBLISHED_DETECTORS, **PUBLISHED_POSE, **PUBLISHED_JUDGES, **PUBLISHED_TEXT}
)


def find_published(name: str) -> PublishedModel:
    """Return a model, a face detector, a judge of translations or a text model that can be fetched.

    Raises:
        UserError: there is none of that name.
    """
    if name not in FETCHABLE:
        known = ", ".join(FETCHABLE)
        raise UserError(f"{name!r} cannot be fetched; what can be: {known}", fix=did_you_mean(name, FETCHABLE))
    return FETCHABLE[name]


def files_folder(name: str) -> Path:
    """Return where the fetched files of a model lie, ``SLT_HOME/files/<name>``; the folder need not exist."""
    return slt_home() / "files" / name


def is_fetched(name: str) -> bool:
    """Return whether all files that a model needs to translate are here; whether they are whole is not checked."""
    return all((files_folder(name) / file.name).is_file() for file in FETCHABLE[name].choose(text_encoder=False))


def address(file: PublishedFile, mirror: str | None = None) -> str:
    """Return where to fetch a file: its own address, or the same path below a mirror's.

    Args:
        file: what to fetch.
        mirror: an address such as ``https://mirror.example/public``, which holds ``SONAR/…`` as the authors' host does;
            ``SLT_MIRROR`` when None.

    Raises:
        UserError: the mirror is no address.
    """
    mirror = os.environ.get("SLT_MIRROR") if mirror is None else mirror
    if not mirror:
        return file.url
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        usable = usable and parts.port != 0 and not parts.query and not parts.fragment and mirror.isascii()
    except ValueError:  # a port that is no number, a bracket too few
        usable = False
    if not usable or not mirror.isprintable() or " " in mirror:
        raise UserError(
            f"{mirror!r} is no address of a mirror",
            fix="give --mirror, or SLT_MIRROR, as https://host/path, without a name or password in it",
        )
    return mirror.rstrip("/") + urlsplit(file.url).path
