"""``slt train-features`` and the other trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from slt_cli import completion
from slt_cli.translate import TextEngine, TextEngineOption

RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE",
        autocompletion=completion.recipes,
        help="A YAML file, or a shipped recipe's name; without it, or --resume, the names are listed.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the recipe, for example optim.lr=1e-4; may be repeated."
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Run folder, default runs/NAME; a stopped run resumes in it."),
]
ResumeOption = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Resume this run, with the recipe in its folder.")
]
DryOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the whole recipe, what would be trained and how long; train nothing.")
]

PRINTS_BUNDLE = "Prints the folder of the bundle that holds the best weights."
# Each trainer's verb: what it trains, what it prints, an example.
TRAINERS = {
    "train-features": (
        "Train the last blocks of a video extractor, with a sign encoder on top, end to end from videos.",
        PRINTS_BUNDLE,
        "Example: slt train-features synthetic-features --out runs/features",
    ),
    "train-encoder": (
        "Train a sign encoder on SONAR sentence embeddings, from stored features or videos.",
        PRINTS_BUNDLE,
        "Example: slt train-encoder synthetic --set trainer.epochs=5 --out runs/first",
    ),
    "train-decoder": (
        "Train SONAR's text decoder, whole or by adapters, to write the sentences whose embeddings it is given.",
        PRINTS_BUNDLE,
        "Example: slt train-decoder synthetic-decoder --out runs/decoder",
    ),
    "train-translator": (
        "Train a sign encoder and a T5 or mBART behind it to write the sentences; SONAR's space plays no part.",
        PRINTS_BUNDLE,
        "Example: slt train-translator synthetic-t5 --out runs/t5",
    ),
    "train-vlp": (
        "Align a sign encoder with a frozen text encoder, by contrasting the sentences of a batch.",
        "Prints the file of the best encoder; a recipe for train-translator begins with it as encoder.weights=RUN.",
        "Example: slt train-vlp synthetic-vlp --out runs/vlp",
    ),
}
WITHOUT_SONAR = ("train-translator", "train-vlp")


def trainer(verb: str) -> Callable[..., None]:
    """Return the command of a verb of `TRAINERS`; all take the same."""

    def train(
        recipe: RecipeArgument = None,
        changes: SetOption = None,
        out: OutOption = None,
        resume: ResumeOption = None,
        text_engine: TextEngineOption = None,
        dry_run: DryOption = False,
    ) -> None:
        asked = [*(changes or ()), *_engine_change(verb, text_engine)]
        _train(verb, recipe, asked, out, resume, dry_run=dry_run)

    train.__doc__ = "\n\n".join(TRAINERS[verb])
    return train


def _engine_change(verb: str, engine: TextEngine | None) -> list[str]:
    """Return the change of a recipe that chooses a text engine."""
    from slt.core.errors import UserError

    if engine and verb in WITHOUT_SONAR:
        raise UserError(f"--text-engine is for SONAR's text models, which {verb} does not use", fix="remove it")
    return [f"decoder.engine={engine.value}"] if engine else []


def _train(
    verb: str,
    name: str | None,
    changes: list[str],
    out: Path | None,
    resume: Path | None,
    *,
    dry_run: bool,
) -> None:
    from slt.core import log
    from slt.core.errors import UserError
    from slt.core.runs import find_run, open_run
    from slt.recipe.load import load_recipe, shipped_recipes, to_yaml

    if resume and (name or changes or out):
        raise UserError(
            "--resume takes its recipe and folder from the run; found others too",
            fix="remove RECIPE, --set, --out and --text-engine",
        )
    if resume:
        run = find_run(resume)
        recipe = load_recipe(str(run.recipe), verb)
    elif name is None:
        raise UserError("no recipe was given", fix=f"give a YAML file, or one of: {', '.join(shipped_recipes())}")
    else:
        recipe = load_recipe(name, verb, changes)
    if dry_run:
        from slt.train.dry_run import dry_run as show

        show(recipe)
        return
    if not resume:
        run = open_run(out or Path("runs") / recipe.name, to_yaml(recipe))
    from slt.train.run import train

    made = train(recipe, run)
    if made:
        then = f"slt translate --model {run.folder} VIDEO"
        log.say(f"go on: --set encoder.weights={run.folder}" if made == run.encoder else f"try: {then}")
        log.result(str(made))
