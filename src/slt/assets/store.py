"""Where bundles lie, by name or path."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from slt.assets.cards import CARD_NAME, BundleCard, read_card, sha256_of
from slt.errors import SltError, UserError
from slt.home import slt_home
from slt.registry import did_you_mean

DEMO = "demo"
PUBLISHED = "sonar-asl"
PUBLISHED_AT = "https://dl.fbaipublicfiles.com/SONAR"
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
    """Find a bundle, and see that its files are there.

    Args:
        name_or_path: ``demo``, a name in ``SLT_HOME/bundles``, the folder of a bundle, or a run's folder, in which
            its bundle lies under ``bundle``.

    Raises:
        UserError: no such bundle, or one that is not whole.
        SltError: this installation came without its demo.
    """
    folder = _folder(name_or_path)
    bundle = Bundle(folder=folder, card=read_card(folder))
    if missing := [file for file in bundle.card.files if not bundle.path(file).is_file()]:
        raise UserError(f"the bundle in {folder} is not whole: it lacks {', '.join(missing)}", fix=FETCH_AGAIN)
    return bundle


def list_bundles() -> dict[str, Path]:
    """Return the folders of the bundles that can be named, by name; whether they are whole is not looked at."""
    fetched = sorted(card.parent for card in slt_home().glob(f"bundles/*/{CARD_NAME}"))
    return ({DEMO: demo_folder()} if (demo_folder() / CARD_NAME).is_file() else {}) | {
        folder.name: folder for folder in fetched if folder.name != DEMO
    }


def demo_folder() -> Path:
    """Return where the package keeps its own bundle."""
    return Path(str(resources.files("slt"))) / "demo" / "bundle"


def _folder(name_or_path: str | Path) -> Path:
    known = list_bundles()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if found := next((folder for folder in (path, path / "bundle") if (folder / CARD_NAME).is_file()), None):
        return found
    if str(name_or_path) == DEMO:
        raise SltError(f"this installation lacks its demo bundle, {demo_folder()}", fix="make one: slt demo --train")
    if str(name_or_path) == PUBLISHED:
        raise UserError(
            f"{PUBLISHED} is not here, and this version of slt cannot fetch it yet; its weights (CC-BY-NC 4.0:"
            f" not for commercial use) are published as {PUBLISHED_AT}/asl/dm_70h_ub_signhiera.pth,"
            f" {PUBLISHED_AT}/asl/dm_70h_ub_sonar_encoder.pth, {PUBLISHED_AT}/sonar_text_decoder.pt and"
            f" {PUBLISHED_AT}/sentencepiece.source.256000.model",
            fix=f"translate with --model {DEMO}, or with a bundle of your own",
        )
    if path.exists():
        raise UserError(f"{path} is no bundle: it has no {CARD_NAME}, and no bundle/{CARD_NAME}")
    hint = did_you_mean(str(name_or_path), [*known, PUBLISHED])
    raise UserError(f"unknown model {str(name_or_path)!r}; known: {', '.join([*known, PUBLISHED])}", fix=hint)
