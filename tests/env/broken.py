"""Environments broken for real: a virtual environment whose packages are those of this one, but for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

RUN_DOCTOR = "import typer; from slt_cli.doctor import doctor; typer.run(doctor)"
LIBRARIES = ("libtbb.so.12", "libsndfile.so.1")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment in ``folder``."""

    folder: Path

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    def doctor(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run ``slt doctor`` in it; a machine's own libraries cannot help, as in a Conda environment."""
        inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        return subprocess.run(
            [self.folder / "bin" / "python", "-c", RUN_DOCTOR, *words],
            env={**inherited, "CONDA_PREFIX": str(self.folder), **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into its packages, path → content."""
        for name, content in files.items():
            path = self.packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_text(content, "utf-8")


def make_environment(
    folder: Path,
    *,
    without: Iterable[str] = (),
    libraries: Iterable[str] = LIBRARIES,
    files: Mapping[str, str] | None = None,
) -> Environment:
    """Make an environment like this one, but without some packages or libraries, and with other files."""
    made = Environment(folder=folder)
    venv.create(made.folder, symlinks=True)
    absent = {name.replace("-", "_") for name in without}
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        name = entry.name.partition("-")[0].removesuffix(".py")
        if name not in absent and not (made.packages / entry.name).exists():
            (made.packages / entry.name).symlink_to(entry)
    for library in libraries:
        (made.folder / "lib" / library).symlink_to(Path(sys.prefix, "lib", library).resolve())
    made.write(files or {})
    return made


def distribution(name: str, version: str) -> dict[str, str]:
    """Return the metadata files of an installed package."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    return {f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}


def torch_that(does: str = "", *, version: str = "2.9.1", cuda: str = "12.8") -> dict[str, str]:
    """Return files that pass for torch and torchaudio until somebody computes with them; torch runs ``does`` first."""
    label = f"+cu{cuda.replace('.', '')}"
    return {
        "torch/__init__.py": f"{does}\nfrom torch.version import __version__\nfrom torch import cuda, version\n",
        "torch/version.py": f"__version__ = {version + label!r}\ncuda: str = {cuda!r}\n",
        "torchaudio/__init__.py": "",
        "torch/cuda.py": "def device_count():\n    return 0\n",
        **distribution("torch", version),
        **distribution("torchaudio", "2.9.1"),
    }
