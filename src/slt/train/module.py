"""The Lightning module: model parts, an objective, and gradients averaged over clips.

Each objective gives sums and counts, which are added over processes before they are divided, so that it does not matter
how a batch is shared out. The batches of one update are weighed by their clips.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm

from slt.core.errors import SltError, UserError
from slt.core.tensors import EncoderOutput
from slt.recipe.schema import Recipe
from slt.train.distributed import n_processes, summed, together
from slt.train.lightning import LightningModule
from slt.train.loader import Batch
from slt.train.objectives import Step, Term, as_output, find_objective
from slt.train.optim import Group, make_optimizer, parameter_groups, share_of_peak, stage_at
from slt.train.parts import DTYPES, Parts, extract, is_trained
from slt.train.sharding import shard

SEED_STEP = 7919
SEEN_ENOUGH = 20  # batches before a loss can be called unusual
SMOOTH = 0.95
LOOK_AT = "look at these clips' features; or lower optim.lr, or set trainer.precision=fp32"


class Training(LightningModule):
    """A recipe's models and what is done with them.

    Attributes:
        recipe: the recipe.
        extractor, encoder, decoder: the parts; frozen ones stay in evaluation mode.
        n_batches: batches of one process that were trained on, in all.
        figures: of the last batch: loss, each term, cosine; and the length of the last update's gradient.
        groups: the weights that are trained.
        batch: the last one that was begun, for whoever explains a failure.
    """

    strict_loading = False  # a checkpoint holds only what is trained; `on_load_checkpoint` sees that it is all there

    def __init__(self, recipe: Recipe, parts: Parts, *, variance: float, n_steps: int, per_epoch: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.extractor, self.encoder, self.decoder = parts.extractor, parts.encoder, parts.decoder
        self._decode_loss = parts.decode_loss
        self._variance, self._n_steps, self._per_epoch = variance, n_steps, per_epoch
        self._objective = find_objective(recipe.objective.kind)
        self.groups: list[Group] = parameter_groups(self, recipe.optim, recipe.stages)
        self.n_batches = 0
        self.figures: dict[str, float] = {}
        self.batch: Batch | None = None
        self._clips = 0.0  # in the gradients so far
        self._ids: list[str] = []  # of these clips, the ones of this process
        self._gradient: dict[str, float] = {}
        self._usual = 0.0  # loss
        self._seen = 0  # batches since this process began
        self.train()  # Lightning leaves each part in the mode that it finds, and loaded models are in evaluation

    def train(self, mode: bool = True) -> Training:
        """Change modes, but leave frozen parts in evaluation."""
        super().train(mode)
        for part in (self.extractor, self.encoder, self.decoder):
            if part is not None and not is_trained(part):
                part.eval()
        return self

    @property
    def epoch(self) -> float:
        """How often every clip was seen."""
        return self.n_batches / self._per_epoch

    def configure_model(self) -> None:
        """Share the parts that are trained out over the processes, where these hold them together."""
        if self.device_mesh is None:
            return
        for part in (self.extractor, self.encoder, self.decoder):
            if part is not None and is_trained(part):
                shard(part, self.device_mesh["data_parallel"])
        self.groups = parameter_groups(self, self.recipe.optim, self.recipe.stages)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW; ``on_train_batch_start`` moves its learning rates."""
        return make_optimizer(self.groups, self.recipe.optim)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch."""
        return batch.to(device)

    def arithmetic(self, device: torch.device) -> torch.autocast:
        """Return the context that computes on a device as the trainer does, in the recipe's precision."""
        dtype = DTYPES[self.recipe.trainer.precision]
        return torch.autocast(device.type, dtype, enabled=dtype is not None)

    def encode(self, batch: Batch) -> EncoderOutput:
        """Return what the encoder makes of a batch; without one, the targets as they are."""
        if self.encoder is None:
            return as_output(batch.targets)
        features = batch.features
        if features is None and batch.windows is not None and self.extractor is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and is_trained(self.extractor)):
                at_once = getattr(self.recipe.extractor, "windows_at_once", 1)
                features = extract(self.extractor, batch.windows, at_once=at_once)
        output: EncoderOutput = self.encoder(features)
        return output

    def terms(self, batch: Batch) -> tuple[EncoderOutput, dict[str, Term]]:
        """Return what the encoder made, and the terms of the loss."""
        output = self.encode(batch)
        step = Step(
            output=output,
            batch=batch,
            settings=self.recipe.objective,
            variance=self._variance,
            decode_loss=self._decode_loss,
        )
        return output, self._objective(step)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set everything that depends on where in the training one is; nothing of it needs to be saved."""
        self.batch = batch
        torch.manual_seed(self.recipe.trainer.seed + SEED_STEP * self.n_batches + self.global_rank)
        share = share_of_peak(self.trainer.global_step, self._n_steps, self.recipe.optim)
        stage = stage_at(self.recipe.stages, int(self.epoch))
        for settings, group in zip(self.trainer.optimizers[0].param_groups, self.groups, strict=True):
            trained = not group.stages or group.stages[stage]
            settings["lr"] = share * group.lr if trained else 0.0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return a loss whose gradients, summed over an update and divided by its clips, are those of the mean."""
        output, terms = self.terms(batch)
        means, counts = self._means(terms)
        self.figures = {**self._gradient, **means, "loss": _weighted(means, terms)}
        self._check(self.figures["loss"], output, batch)
        if output.sentence.shape == batch.targets.shape and self.encoder is not None:
            similar = torch.nn.functional.cosine_similarity(output.sentence.detach().float(), batch.targets)
            self.figures["cosine"] = float(similar.mean())
        self._clips += batch.n_clips
        self._ids += batch.ids
        total = torch.stack([term.weight * term.total / counts[name] for name, term in terms.items()]).sum()
        # Lightning divides by the batches of an update, and processes average their gradients.
        return total * batch.n_clips * n_processes() * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradients those of a mean over clips; drop those of weights whose stage has not come.

        Raises:
            SltError: a gradient is no number; fp16's own way with these is to leave an update out.
        """
        for settings in optimizer.param_groups:
            for weight in settings["params"]:
                if weight.grad is not None:
                    weight.grad.div_(self._clips)
                    if not settings["lr"]:
                        weight.grad = None
        self._gradient = {"gradient": gradient_length(self.trained_weights().values())}
        if not math.isfinite(self._gradient["gradient"]) and self.recipe.trainer.precision != "fp16":
            named = [name for share in together(self._ids) for name in share]
            raise SltError(
                f"the gradient became {self._gradient['gradient']} in batch {self.n_batches}, of clips "
                f"{', '.join(named)}",
                fix=LOOK_AT,
            )
        self._clips, self._ids = 0.0, []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only what training changes; the rest lies in the bundles it came from."""
        checkpoint["state_dict"] = only(checkpoint["state_dict"], self.trained_names())
        checkpoint["n_batches"] = self.n_batches
        checkpoint["n_processes"] = n_processes()
        checkpoint["text_engine"] = getattr(self.decoder, "engine", None)
        if self.n_batches % self.trainer.num_training_batches == 0:
            _begin_anew(checkpoint["loops"]["fit_loop"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that all that training changes is there.

        Raises:
            UserError: the text decoder was trained by another engine, which names its weights otherwise.
        """
        here, saved = getattr(self.decoder, "engine", None), checkpoint.get("text_engine")
        if saved and saved != here and self.decoder is not None and is_trained(self.decoder):
            raise UserError(
                f"this run trained its text decoder with the text engine {saved}, found {here}",
                fix=f"resume it where {saved} is installed, or with decoder.engine: {saved} in its recipe.yaml",
            )
        if missing := set(self.trained_names()) - set(checkpoint["state_dict"]):
            raise RuntimeError(f"the checkpoint lacks {sorted(missing)[:3]}")
        self.n_batches = checkpoint["n_batches"]

    def trained_names(self) -> list[str]:
        """Return the names of what training changes."""
        return list(self.trained_state())

    def trained_state(self) -> dict[str, Tensor]:
        """Return what training changes, by name: the weights that are trained, and the buffers of their parts.

        Buffers are the running statistics of batch normalisation: without them, the weights compute something else.
        """
        parts = {"extractor": self.extractor, "encoder": self.encoder, "decoder": self.decoder}
        buffers = {
            name: buffer
            for part, module in parts.items()
            if module is not None and is_trained(module)
            for name, buffer in _saved_buffers(module, part).items()
        }
        return {**self.trained_weights(), **buffers}

    def trained_weights(self) -> dict[str, Tensor]:
        """Return the weights that are trained, by name."""
        return {name: weight for group in self.groups for name, weight in group.weights.items()}

    def _check(self, loss: float, output: EncoderOutput, batch: Batch) -> None:
        """Stop at a loss that says that training has gone astray; before it changes any weight.

        Raises:
            SltError: it has; the clips that may be at fault are named.
        """
        if not math.isfinite(loss):
            finite = output.sentence.isfinite().all(1).tolist()
            broken = [name for name, fine in zip(batch.ids, finite, strict=True) if not fine]
            named = [name for share in together(broken) for name in share] or batch.ids
            raise SltError(
                f"the loss became {loss} in batch {self.n_batches}, of clips {', '.join(named)}",
                fix=LOOK_AT,
            )
        limit = self.recipe.trainer.explosion
        if self._seen >= SEEN_ENOUGH and loss > limit * self._usual:
            raise SltError(
                f"a loss of {loss:.4g} is {loss / self._usual:.0f} times the usual {self._usual:.4g}, in batch "
                f"{self.n_batches} of clips {', '.join(batch.ids)}",
                fix="look at these clips; or lower optim.lr, raise optim.warmup_steps or trainer.explosion",
            )
        self._usual = loss if not self._seen else SMOOTH * self._usual + (1 - SMOOTH) * loss
        self._seen += 1

    def _means(self, terms: Mapping[str, Term]) -> tuple[dict[str, float], dict[str, float]]:
        """Return the mean of each term over all processes, and over how many things it is."""
        stacked = torch.stack([term.total.detach().double() for term in terms.values()])
        counts = torch.tensor([float(term.count) for term in terms.values()], device=stacked.device).double()
        sums, over = summed(torch.stack([stacked, counts])).tolist()
        names: Sequence[str] = list(terms)
        means = {name: total / n for name, total, n in zip(names, sums, over, strict=True)}
        return means, dict(zip(names, over, strict=True))


def total_loss(terms: Mapping[str, Term]) -> Tensor:
    """Return the loss of one batch by itself, with gradients."""
    return torch.stack([term.weight * term.total / term.count for term in terms.values()]).sum()


def gradient_length(weights: Iterable[Tensor]) -> float:
    """Return the Euclidean length of all gradients together; shares of them are put together first."""
    length = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    return float(length.full_tensor() if isinstance(length, DTensor) else length)


def only(weights: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Return the weights of these names."""
    return {name: weights[name] for name in names}


def _saved_buffers(module: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the buffers of a module that belong into a file, by name."""
    buffers = dict(module.named_buffers(prefix=name))
    saved = module.state_dict(prefix=f"{name}.").keys() if buffers else ()
    return {key: buffer for key, buffer in buffers.items() if key in saved}


def _begin_anew(loop: dict[str, Any]) -> None:
    """Let Lightning's counters say that its epoch is over, so that one goes on with a new one.

    Saved at the end of an epoch they say that it is still to be ended, and the next one would end after a batch.
    """
    for counts in (loop["epoch_progress"]["total"], loop["epoch_progress"]["current"]):
        counts.update(dict.fromkeys(counts, counts["processed"]))
    batches = loop["epoch_loop.batch_progress"]
    batches["current"].update(dict.fromkeys(batches["current"], 0))
    batches["is_last_batch"] = False


def _weighted(means: Mapping[str, float], terms: Mapping[str, Term]) -> float:
    return sum(terms[name].weight * mean for name, mean in means.items())
