"""Optimiser, parameter groups, learning-rate schedule and stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.optim import AdamW

from slt.core.errors import UserError
from slt.recipe.trainer import Optim, Stage


@dataclass(frozen=True, kw_only=True)
class Group:
    """Weights that are treated alike.

    Attributes:
        name: part, decaying or not, and the stage in which they are first trained, where there are several.
        weights: the weights, by name.
        lr: learning rate at its peak.
        weight_decay: theirs.
        stages: for each stage, whether they are trained in it; empty: always.
    """

    name: str
    weights: dict[str, nn.Parameter]
    lr: float
    weight_decay: float
    stages: tuple[bool, ...]

    @property
    def n_numbers(self) -> int:
        """How many numbers its weights are."""
        return sum(weight.numel() for weight in self.weights.values())


def parameter_groups(module: nn.Module, optim: Optim, stages: Sequence[Stage]) -> list[Group]:
    """Sort the weights to be trained into groups: by part, by whether they decay, by the stages that train them.

    A part is one of the module's children, or what ``optim.lr_factors`` names of one.

    Args:
        module: its children are the parts: ``extractor``, ``encoder``, ``decoder``.
        optim: learning rates and decay.
        stages: which weights are trained when.

    Raises:
        UserError: a stage's pattern or a factor's name fits no weight, or nothing is to be trained.
    """
    named = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    if not named:
        raise UserError("nothing is to be trained: every part is frozen", fix="see frozen and train in the recipe")
    _check_patterns(named, stages)
    factors = _factors(named, optim)
    groups: dict[tuple[str, bool, tuple[bool, ...]], dict[str, nn.Parameter]] = {}
    for name, weight in named.items():
        when = tuple(any(fnmatchcase(name, pattern) for pattern in stage.train) for stage in stages)
        groups.setdefault((_part(name, factors), weight.ndim > 1, when), {})[name] = weight
    return [
        Group(
            name=_group_name(part, decays=decays, when=when),
            weights=weights,
            lr=optim.lr * factors.get(part, 1.0),
            weight_decay=optim.weight_decay if decays else 0.0,
            stages=when,
        )
        for (part, decays, when), weights in groups.items()
    ]


def make_optimizer(groups: Sequence[Group], optim: Optim) -> AdamW:
    """Return AdamW over the groups; each keeps its name, and its learning rate at the peak."""
    made: list[dict[str, Any]] = [
        {
            "params": list(group.weights.values()),
            "name": group.name,
            "lr": group.lr,
            "weight_decay": group.weight_decay,
        }
        for group in groups
    ]
    return AdamW(made, lr=optim.lr, betas=optim.betas)


def share_of_peak(step: int, n_steps: int, optim: Optim) -> float:
    """Return by what the peak learning rate is multiplied in update ``step``, from 0, of ``n_steps``."""
    if step < optim.warmup_steps:
        return (step + 1) / (optim.warmup_steps + 1)
    done = (step - optim.warmup_steps) / max(n_steps - optim.warmup_steps, 1)
    fallen = {"constant": 1.0, "linear": 1 - min(done, 1.0), "cosine": 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))}
    return optim.min_lr + (1 - optim.min_lr) * fallen[optim.schedule]


def stage_at(stages: Sequence[Stage], epoch: int) -> int:
    """Return the number of the stage that ``epoch`` lies in."""
    return max((i for i, stage in enumerate(stages) if stage.from_epoch <= epoch), default=0)


def _factors(named: dict[str, nn.Parameter], optim: Optim) -> dict[str, float]:
    """Return the factors of the learning rate; those below the parts must fit something."""
    idle = [part for part in optim.lr_factors if "." in part and not any(_within(name, part) for name in named)]
    if idle:
        raise UserError(
            f"lr_factors names {', '.join(idle)}, which fits no weight that is trained",
            fix="slt … --dry-run lists the parts",
        )
    return dict(optim.lr_factors)


def _part(name: str, factors: dict[str, float]) -> str:
    """Return the longest name with a factor that a weight lies in; none, the child that it lies in."""
    return max((part for part in factors if _within(name, part)), key=len, default=name.partition(".")[0])


def _within(name: str, part: str) -> bool:
    return name.startswith(f"{part}.")


def _group_name(part: str, *, decays: bool, when: tuple[bool, ...]) -> str:
    words = [part, "decay" if decays else "no-decay"]
    if when and not all(when):
        words.append("stages-" + "".join(str(i) for i, trained in enumerate(when) if trained) if any(when) else "never")
    return "/".join(words)


def _check_patterns(named: dict[str, nn.Parameter], stages: Sequence[Stage]) -> None:
    idle = [
        pattern for stage in stages for pattern in stage.train if not any(fnmatchcase(name, pattern) for name in named)
    ]
    if idle:
        raise UserError(
            f"stages train {', '.join(dict.fromkeys(idle))}, which fits no weight that is not frozen; "
            f"weights are called {next(iter(named))} and so on",
            fix="slt … --dry-run lists the parts",
        )
