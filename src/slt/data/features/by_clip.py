"""Features whose clips each lie in a place of their own: what all readers of files share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from slt.core.errors import UserError
from slt.data.features.header import StoreHeader


class FeaturesByClip(ABC):
    """Features of clips, read when they are asked for.

    Attributes:
        header: what they are.
        places: where each clip's features lie, by id, in the order in which the clips are listed.
    """

    header: StoreHeader
    places: Mapping[str, Any]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all clips."""
        return tuple(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, id: object) -> bool:
        return id in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __getitem__(self, id: str) -> NDArray[Any]:
        """Return the features of a clip, (N, feature_dim).

        Raises:
            KeyError: it is not there.
            UserError: they cannot be read, or are of another width.
        """
        features = self.read(id)
        if features.shape[1] != self.header.feature_dim:
            raise UserError(
                f"{self.where(id)} holds features {features.shape[1]} wide, others {self.header.feature_dim}"
            )
        return features

    def length(self, id: str) -> int:
        """Return how many feature vectors a clip has; reads them."""
        return len(self[id])

    @abstractmethod
    def read(self, id: str) -> NDArray[Any]:
        """Return the features of a clip, (N, D), of whatever width they are.

        Raises:
            KeyError: it is not there.
            UserError: they cannot be read.
        """

    @abstractmethod
    def where(self, id: str) -> str:
        """Return in words where a clip's features lie, for errors."""
