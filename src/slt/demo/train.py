"""Train the demo bundle from nothing: corpus, text models, SignHiera, sign encoder, bundle, score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from slt.core import log
from slt.data.synthetic.corpus import write_corpus
from slt.data.synthetic.grammar import LANGUAGES
from slt.data.synthetic.labels import LabelledClip, read_clips
from slt.demo.bundle import assemble, note_plan, note_scores
from slt.demo.encoder import train_encoder
from slt.demo.extractor import features_of, train_extractor
from slt.demo.pixels import LabelledWindow, read_windows
from slt.demo.plan import ENCODER, EXTRACTOR, PREPROCESS, TEXT, DemoPlan
from slt.demo.score import Score, score_bundle
from slt.demo.text import train_text
from slt.models.checkpoint import read_weights, save_weights
from slt.models.fitting import load_model
from slt.models.signhiera import SignHiera
from slt.models.sonar_t5 import SonarT5
from slt.text.engines import sonar_text
from slt.text.sonar_text import SonarTextModel
from slt.train.steps import Figures

STAGES = ("corpus", "text", "extractor", "sign encoder", "score")


def train_demo(out: Path, plan: DemoPlan | None = None) -> dict[str, Score]:
    """Train a demo bundle; each stage leaves its result in ``out``, so a run that was killed goes on where it was.

    Args:
        out: the run's folder; the bundle will be ``out/bundle``.
        plan: how much of everything; the one of the shipped bundle when None.

    Returns:
        The bundle's score on the held-out clips, for each language.

    Raises:
        UserError: ``out`` cannot be written to, or holds a run of another plan.
        SltError: the disk is full, or a training went astray.
    """
    plan = plan or DemoPlan()
    note_plan(out, plan)
    begun = time.monotonic()
    with log.bars() as bars:
        run = _Run(out, plan, bars)
        clips = run.corpus()
        text = run.text()
        windows = {split: run.windows(split, clips[split]) for split in ("train", "val")}
        extractor = run.extractor(windows["train"])
        features = {split: run.features(extractor, split, windows[split]) for split in windows}
        encoder = run.sign_encoder(text, clips["train"], features["train"])
        bundle = run.bundle(text, (extractor, encoder), features["val"])
        scores = run.score(bundle, clips["test"])
    note_scores(bundle, scores, minutes=(time.monotonic() - begun) / 60)
    log.say(f"the bundle is {bundle}; try: slt translate --model {bundle} VIDEO")
    for lang, score in scores.items():
        log.result(f"{lang}\tBLEU {score.bleu:.1f}\texact {100 * score.exact:.1f} %\t{score.n_clips} clips")
    return scores


class _Run:
    """The stages; each reads what an earlier run of it left behind, or makes it."""

    def __init__(self, out: Path, plan: DemoPlan, bars: log.Bars) -> None:
        self.out, self.plan, self.bars = out, plan, bars

    def corpus(self) -> dict[str, list[LabelledClip]]:
        folder = self.out / "corpus"
        manifests = {split: folder / f"{split}.tsv" for split in self.plan.clips}
        if not all(path.exists() for path in manifests.values()):
            with self._stage("corpus"):
                write_corpus(folder, self.plan.clips, self.plan.seed, progress=self._counter("clips drawn"))
        return {split: read_clips(path) for split, path in manifests.items()}

    def text(self) -> SonarTextModel:
        decoder, encoder, tokenizer = self._text_files()
        if not encoder.exists():
            with self._stage("text") as checkpoint:
                model = train_text(
                    self.plan, tokenizer, checkpoint=checkpoint, on_step=self._steps("text", self.plan.text_steps)
                )
                save_weights(decoder, model.decoder_weights())
                save_weights(encoder, model.text_encoder_weights())
        return sonar_text().load(TEXT, read_weights(decoder), tokenizer, read_weights(encoder))

    def windows(self, split: str, clips: Sequence[LabelledClip]) -> list[LabelledWindow]:
        return read_windows(
            clips, PREPROCESS, self.out / f"windows-{split}", progress=self._counter(f"{split} clips cut")
        )

    def extractor(self, windows: Sequence[LabelledWindow]) -> SignHiera:
        weights = self.out / "extractor.safetensors"
        if not weights.exists():
            with self._stage("extractor") as checkpoint:
                on_step = self._steps("extractor", self.plan.extractor_steps)
                model = train_extractor(self.plan, windows, checkpoint=checkpoint, on_step=on_step)
                save_weights(weights, model.state_dict())
        return load_model(SignHiera, EXTRACTOR, weights)

    def features(self, extractor: SignHiera, split: str, windows: Sequence[LabelledWindow]) -> list[Tensor]:
        path = self.out / f"features-{split}.safetensors"
        if not path.exists():
            features = features_of(extractor, windows, progress=self._counter(f"{split} windows seen"))
            save_weights(path, {f"{clip:06d}": rows for clip, rows in enumerate(features)})
        return [rows for _, rows in sorted(read_weights(path).items())]

    def sign_encoder(self, text: SonarTextModel, clips: Sequence[LabelledClip], features: Sequence[Tensor]) -> SonarT5:
        weights = self.out / "encoder.safetensors"
        if not weights.exists():
            with self._stage("sign encoder") as checkpoint:
                model = train_encoder(
                    self.plan,
                    features,
                    sentence_embeddings(text, clips),
                    checkpoint=checkpoint,
                    on_step=self._steps("sign encoder", self.plan.encoder_steps),
                )
                save_weights(weights, model.state_dict())
        return load_model(SonarT5, ENCODER, weights)

    def bundle(self, text: SonarTextModel, models: tuple[SignHiera, SonarT5], known: Sequence[Tensor]) -> Path:
        folder = self.out / "bundle"
        assemble(folder, self.plan, text, *models, known, tokenizer=self._text_files()[2])
        return folder

    def score(self, bundle: Path, clips: Sequence[LabelledClip]) -> dict[str, Score]:
        with self._stage("score"):
            return score_bundle(bundle, clips, progress=self._counter("held-out clips translated"))

    def _text_files(self) -> tuple[Path, Path, Path]:
        names = ("text_decoder.safetensors", "text_encoder.safetensors", "tokenizer.model")
        decoder, encoder, tokenizer = (self.out / name for name in names)
        return decoder, encoder, tokenizer

    @contextmanager
    def _stage(self, name: str) -> Iterator[Path]:
        """Describe that a stage begins and ends; yield a path for its checkpoints, removed when it ends well."""
        log.say(f"stage {1 + STAGES.index(name)} of {len(STAGES)}: {name}")
        begun, checkpoint = time.monotonic(), self.out / f"{name}.checkpoint"
        self._last: Figures = {}
        yield checkpoint
        checkpoint.unlink(missing_ok=True)
        figures = "".join(f", {figure} {value:.3g}" for figure, value in self._last.items())
        log.say(f"  {log.seconds(time.monotonic() - begun)}{figures}")

    def _counter(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.bars.update(what, done, total)

    def _steps(self, what: str, total: int) -> Callable[[int, Figures], None]:
        def on_step(done: int, figures: Figures) -> None:
            self._last = figures
            self.bars.update(f"{what} steps", done, total)

        return on_step


@torch.inference_mode()
def sentence_embeddings(text: SonarTextModel, clips: Sequence[LabelledClip]) -> Tensor:
    """Return the (clips, D) embedding of each clip's sentence: the mean over its languages."""
    return torch.stack([text.embed([clip.texts[lang] for clip in clips], lang) for lang in LANGUAGES]).mean(0)
