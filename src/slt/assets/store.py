"""Find bundles by name or path."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from slt.assets.cards import CARD_NAME, BundleCard, read_card, sha256_of
from slt.assets.hub_fetch import card_of, find_or_fetch
from slt.assets.hub_names import HubName, forget_revision, list_hub_models, parse_hub_name
from slt.assets.lock import folder_lock
from slt.assets.lockfile import RECORD_NAME, check_file, read_records, verify_files
from slt.assets.published import FETCHABLE, PUBLISHED, files_folder, is_fetched
from slt.core import log
from slt.core.errors import SltError, UserError
from slt.core.home import slt_home
from slt.core.registry import did_you_mean

DEMO = "demo"
FINGERSPELLING = "fingerspelling"
SHIPPED = (DEMO, FINGERSPELLING)
"""The models inside the package."""
COPIES = "copies"
FETCH_AGAIN = "fetch or make the bundle again"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A folder with everything that one model needs to translate.

    Attributes:
        folder: where it lies.
        card: what it says of itself.
    """

    folder: Path
    card: BundleCard

    def path(self, file: str) -> Path:
        """Return where a file that the card names lies."""
        return self.folder / file

    def extractor_weights(self) -> tuple[Path | None, str | None]:
        """Return the file of its extractor's weights and the sha256 that the card has of it; None: there are none."""
        weights = self.card.extractor.weights
        return (self.path(weights), self.card.sha256.get(weights)) if weights else (None, None)

    @property
    def copies(self) -> Path:
        """Where copies of its weights in other dtypes are kept; it need not exist, and may be removed at any time."""
        return self.folder / COPIES

    def verify(self) -> None:
        """Compare every file with its hash in the card; reads them all.

        Raises:
            UserError: files that are absent, that changed, or that the card has no hash of; all of them.
        """
        if problems := [problem for file in self.card.files if (problem := self._problem(file))]:
            raise UserError(f"the bundle in {self.folder} is damaged: {'; '.join(problems)}", fix=FETCH_AGAIN)

    def _problem(self, file: str) -> str | None:
        if not self.path(file).is_file():
            return f"{file} is missing"
        if not (expected := self.card.sha256.get(file)):
            return f"{file} has no sha256 in the card"
        found = sha256_of(self.path(file))
        return None if found == expected else f"{file} has the sha256 {found}, expected {expected}"


def find_bundle(name_or_path: str | Path) -> Bundle:
    """Find a bundle, and see that its files are there; one on the hub is fetched on first use.

    Args:
        name_or_path: one of ``SHIPPED``, a name in ``SLT_HOME/bundles``, ``hf:OWNER/NAME[@REVISION]``, the folder of a
            bundle, or a run's folder, in which its bundle lies under ``bundle``.

    Raises:
        UserError: no such bundle, or one that is not whole.
        SltError: this installation came without its demo.
    """
    folder = _folder(name_or_path)
    bundle = Bundle(folder=folder, card=read_card(folder))
    if missing := [file for file in bundle.card.files if not bundle.path(file).is_file()]:
        raise UserError(f"the bundle in {folder} is not whole: it lacks {', '.join(missing)}", fix=FETCH_AGAIN)
    return bundle


def find_card(name_or_path: str | Path) -> BundleCard:
    """Return the card of a bundle; of one on the hub that is not here, nothing else is fetched.

    Raises:
        UserError, SltError: as for ``find_bundle``.
    """
    hub = parse_hub_name(name_or_path)
    return card_of(hub) if hub else find_bundle(name_or_path).card


def is_bundle(name_or_path: str | Path) -> bool:
    """Return whether ``find_bundle`` would look for a bundle there; whether it is whole is not checked."""
    if parse_hub_name(name_or_path):
        return True
    path = Path(name_or_path).expanduser()
    here = any((folder / CARD_NAME).is_file() for folder in (path, path / "bundle"))
    return here or str(name_or_path) in list_bundles()


def list_bundles() -> dict[str, Path]:
    """Return the folders of the bundles that can be named, by name; whether they are whole is not checked."""
    fetched = sorted(card.parent for card in slt_home().glob(f"bundles/*/{CARD_NAME}"))
    own = {folder.name: folder for folder in fetched if folder.name not in SHIPPED}
    shipped = {name: folder for name in SHIPPED if ((folder := shipped_folder(name)) / CARD_NAME).is_file()}
    return shipped | own | list_hub_models()


def list_copies(folder: Path) -> dict[str, int]:
    """Return the dtypes in which a bundle's folder keeps copies of its weights, each with their size in bytes."""
    sizes: dict[str, int] = {}
    for copy in sorted((folder / COPIES).glob("[!.]*.safetensors")):
        dtype = copy.stem.rpartition(".")[2]
        sizes[dtype] = sizes.get(dtype, 0) + copy.stat().st_size
    return sizes


def list_fetched() -> dict[str, Path]:
    """Return the folders of everything published of which files were fetched, by name."""
    return {name: files_folder(name) for name in FETCHABLE if (files_folder(name) / RECORD_NAME).is_file()}


def fetched_file(name: str, file: str) -> Path | None:
    """Return where a file lies that was fetched under a published name, as it first came; None: it is not here.

    Raises:
        UserError: it changed since.
    """
    path = files_folder(name) / file
    record = read_records(path.parent).get(file)
    if record is None or not path.is_file():
        return None
    check_file(path, record)
    return path


def verify_model(name_or_path: str) -> int:
    """Compare all files of a model, its bundle's and those it was fetched as, with their hashes; reads them all.

    Args:
        name_or_path: as for ``find_bundle``; or a folder that files were fetched to.

    Returns:
        how many files there are.

    Raises:
        UserError: no such model, or some of its files are absent or changed.
        SltError: this installation came without its demo.
    """
    if parse_hub_name(name_or_path):
        return verify_files(find_folder(name_or_path))
    fetched = list_fetched().get(name_or_path, Path(name_or_path).expanduser())
    n_fetched = verify_files(fetched) if read_records(fetched) else 0
    if n_fetched and name_or_path not in list_bundles() and not (Path(name_or_path) / CARD_NAME).is_file():
        return n_fetched
    bundle = find_bundle(name_or_path)
    bundle.verify()
    return n_fetched + len(bundle.card.files)


def find_folder(name: str) -> Path:
    """Return where a model lies that can be named: its bundle, else the files it was fetched as.

    Raises:
        UserError: it is not here.
    """
    known = {name: files_folder(name) for name in FETCHABLE if is_fetched(name)} | list_bundles()
    if name not in known:
        can_be = did_you_mean(name, [*known, *FETCHABLE])
        if name in FETCHABLE or parse_hub_name(name):
            can_be = f"fetch it: slt models fetch {name}"
        raise UserError(f"no model {name!r} is here; here are: {', '.join(known) or 'none'}", fix=can_be)
    return known[name]


def remove_model(name: str) -> list[Path]:
    """Remove a model that can be named: its bundle in ``SLT_HOME``, and the files it was fetched as, with their record.

    Returns:
        the folders that are gone.

    Raises:
        UserError: it is not here, or comes with the package.
        SltError: something of it cannot be removed.
    """
    if name in SHIPPED:
        raise UserError(f"{name} comes with the package and cannot be removed alone")
    if hub := parse_hub_name(name):
        return _remove_hub_model(hub)
    places = [list_bundles().get(name), files_folder(name) if name in FETCHABLE else None]
    here = [folder for folder in places if folder and folder.is_dir()]
    for folder in here or [find_folder(name)]:
        try:
            with folder_lock(folder):
                (folder / CARD_NAME).unlink(missing_ok=True)  # first: without it, it is no bundle, whatever happens
                shutil.rmtree(folder.resolve())
            if folder.is_symlink():
                folder.unlink()
        except OSError as error:
            raise SltError(f"cannot remove {folder}: {error.strerror or error}") from error
    return here


def _remove_hub_model(name: HubName) -> list[Path]:
    find_folder(str(name))
    try:
        with folder_lock(name.folder):
            gone = forget_revision(name)
    except OSError as error:
        raise SltError(f"cannot remove {name}: {error.strerror or error}") from error
    if gone is None:
        log.say(f"{name} is forgotten; its files stay, as another revision is the same commit")
    return [gone] if gone else []


def demo_folder() -> Path:
    """Return where the package keeps the bundle ``demo``."""
    return Path(str(resources.files("slt"))) / "demo" / "bundle"


def shipped_folder(name: str) -> Path:
    """Return where the package keeps a bundle of ``SHIPPED``."""
    return demo_folder() if name == DEMO else demo_folder().parent / name


def _folder(name_or_path: str | Path) -> Path:
    if hub := parse_hub_name(name_or_path):
        return find_or_fetch(hub)
    known = list_bundles()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if found := next((folder for folder in (path, path / "bundle") if (folder / CARD_NAME).is_file()), None):
        return found
    if (name := str(name_or_path)) in SHIPPED:
        raise SltError(
            f"this installation lacks its {name} bundle, {shipped_folder(name)}",
            fix=f"make one: slt demo --train {name}",
        )
    if str(name_or_path) in PUBLISHED:
        raise _not_a_bundle_yet(str(name_or_path))
    if path.exists():
        raise UserError(f"{path} is no bundle: it has no {CARD_NAME}, and no bundle/{CARD_NAME}")
    hint = did_you_mean(str(name_or_path), [*known, *PUBLISHED])
    raise UserError(f"unknown model {str(name_or_path)!r}; known: {', '.join([*known, *PUBLISHED])}", fix=hint)


def _not_a_bundle_yet(name: str) -> UserError:
    if is_fetched(name):
        return UserError(
            f"the files of {name} are in {files_folder(name)}, but no model has been made of them yet",
            fix=f"slt models import --name {name}",
        )
    about = log.size(sum(file.about_bytes for file in PUBLISHED[name].choose(text_encoder=False)))
    return UserError(
        f"{name} is not here; its files, about {about}, are published under {PUBLISHED[name].notice}",
        fix=f"slt models fetch {name}, then slt models import --name {name}",
    )
