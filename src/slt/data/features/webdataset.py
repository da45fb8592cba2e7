"""Features as WebDataset shards: tar files with two members a clip, ``<key>.json`` and ``<key>.npy``.

By its naming rules all members of one sample stand together and share a key, what comes before the first dot; so dots
(and what else a key cannot hold) are written as ``%2E`` in it, and the id itself stands in the JSON.

Reference: github.com/webdataset/webdataset, "The WebDataset Format".
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from slt.core.errors import SltError, UserError
from slt.data.features.by_clip import FeaturesByClip
from slt.data.features.export import FileKind, Rows, check_whole, little_endian, read_plan
from slt.data.features.folder import array_of, read_npy, read_pt
from slt.data.features.header import StoreHeader
from slt.data.manifest import complaint_about_id

TAR = ".tar"
ARRAYS = {"npy": read_npy, "pt": read_pt, "pth": read_pt}
"""Extension of the member with the features → what reads it."""
LARGEST_JSON = 1 << 20

_NOT_IN_KEYS = re.compile(r"[^\w \-+=,~@()\[\]{}!#$&';]", re.ASCII)


def write_webdataset(file: BinaryIO, rows: Rows, header: StoreHeader, columns: Sequence[str]) -> None:
    """Write one shard. Equal clips make equal bytes."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for id, features, said in rows:
            array = io.BytesIO()
            np.save(array, little_endian(features))
            words = {"id": id, **said}
            _add(tar, f"{key_of(id)}.json", json.dumps(words, ensure_ascii=False).encode(errors="surrogatepass"))
            _add(tar, f"{key_of(id)}.npy", array.getvalue())


WEBDATASET = FileKind(name="webdataset", path="features-{number:06d}.tar", write=write_webdataset)


def key_of(id: str) -> str:
    """Return the key of a clip: its id with everything a key cannot hold as ``%`` and two hexadecimal digits a byte."""
    return _NOT_IN_KEYS.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), id)


@dataclass(frozen=True, kw_only=True)
class _Member:
    """Where a clip's features lie: shard, first byte and size there, and extension."""

    shard: Path
    start: int
    n_bytes: int
    extension: str


class WebDatasetFeatures(FeaturesByClip):
    """The features in WebDataset shards, ours or another's; nothing is unpacked.

    Attributes:
        header: what they are, by the plan beside them; of those that have none, the width and numbers of the first.

    Args:
        path: a ``.tar`` file, or a folder of them.

    Raises:
        UserError: no shards, not a tar file, a member with a path outside or that is a link, no features in it, two
            clips of one id, or an export that is not whole.
    """

    def __init__(self, path: Path) -> None:
        shards = [path] if path.is_file() else sorted(path.glob(f"*{TAR}"))
        self.places: dict[str, _Member] = {}
        for shard in shards:
            for id, member in _members_of(shard):
                if (other := self.places.setdefault(id, member)) is not member:
                    raise UserError(f"two samples have the id {id}, in {other.shard} and {shard}", fix="rename one")
        plan = read_plan(path) if path.is_dir() else None
        check_whole(path, plan, len(self.places))
        if not self.places:
            raise UserError(f"{path} holds no sample with features (.npy, .pt or .pth)")
        if plan:
            self.header = plan.header
        else:
            first = self.read(next(iter(self.places)))
            dtype: Any = "float16" if first.dtype == np.float16 else "float32"
            self.header = StoreHeader(feature_dim=first.shape[1], dtype=dtype)

    def read(self, id: str) -> NDArray[Any]:
        """See ``FeaturesByClip``."""
        member = self.places[id]
        try:
            with open(member.shard, "rb") as file:
                file.seek(member.start)
                content = file.read(member.n_bytes)
        except OSError as error:
            raise SltError(f"cannot read {member.shard}: {error.strerror or error}") from error
        what = f"the features of {id} in {member.shard}"
        return array_of(ARRAYS[member.extension](io.BytesIO(content), what), what)

    def where(self, id: str) -> str:
        """See ``FeaturesByClip``."""
        return f"the sample {id} in {self.places[id].shard}"


def _members_of(shard: Path) -> Iterator[tuple[str, _Member]]:
    """Yield the clips of a shard by id.

    Raises:
        UserError: see ``WebDatasetFeatures``.
    """
    samples: dict[str, _Member] = {}
    ids: dict[str, str] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                if info.isdir():
                    continue
                key, extension = _key_and_extension(shard, info)
                if extension == "json":
                    ids |= _id_in(tar, info, key)
                elif (kind := extension.rpartition(".")[2]) in ARRAYS and key not in samples:
                    samples[key] = _Member(shard=shard, start=info.offset_data, n_bytes=info.size, extension=kind)
            if shard.stat().st_size < tar.offset:
                raise tarfile.ReadError("unexpected end of data")
    except (tarfile.TarError, EOFError) as error:
        raise UserError(
            f"{shard} is not a whole, uncompressed .tar file: {error}", fix="copy it again; gunzip a .tar.gz first"
        ) from error
    except OSError as error:
        raise SltError(f"cannot read {shard}: {error.strerror or error}") from error
    for key, member in samples.items():
        id = ids.get(key, key)
        if expected := complaint_about_id(id):
            raise UserError(f"{shard}: found the sample {id!r:.80}, expected {expected}", fix="rename it")
        yield id, member


def _key_and_extension(shard: Path, info: tarfile.TarInfo) -> tuple[str, str]:
    path = PurePosixPath(info.name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{shard} has a member with a path outside, {info.name!r:.200}", fix="do not use it: something is amiss"
        )
    if not info.isreg():
        raise UserError(f"{shard} has a member that is no file, {info.name!r:.200}", fix="make it again without links")
    key, _, extension = path.name.partition(".")
    return str(path.with_name(key)) if key else info.name, extension.lower()


def _id_in(tar: tarfile.TarFile, info: tarfile.TarInfo, key: str) -> Mapping[str, str]:
    """Return {key: id} where a sample's JSON says the id; others' JSON may say anything."""
    file = tar.extractfile(info) if info.size <= LARGEST_JSON else None
    try:
        said = json.loads(file.read()) if file else None
    except (ValueError, RecursionError):
        return {}
    return {key: said["id"]} if isinstance(said, dict) and isinstance(said.get("id"), str) else {}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
