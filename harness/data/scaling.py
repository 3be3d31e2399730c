"""Scalings of values to [0, 1] as components. Limits that are not given are fitted to the training part alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Scaling(Component):
    """Brings values to [0, 1] and back, channel by channel. A subclass gives `forward` and `inverse`.

    Values outside the limits, as test data may have them, come out outside [0, 1].
    """

    slot: ClassVar[str] = "data.scaling"
    low: tuple[float, ...] = setting(
        (), "value that becomes 0, one or one a channel; empty: the lowest of the training part"
    )
    high: tuple[float, ...] = setting(
        (), "value that becomes 1, one or one a channel; empty: the highest of the training part"
    )

    def fit(self, low: Sequence[float], high: Sequence[float], what: str) -> Scaling:
        """The scaling with limits for every channel: its own, else these. `what` names the data in errors. Raises RequestError."""
        limits = {}
        for name, own, found in (("low", self.low, low), ("high", self.high, high)):
            if len(own) not in (0, 1, len(found)):
                raise RequestError(
                    f"data.scaling.{name} has {len(own)} values; give one, or one for each of {len(found)} channels"
                )
            limits[name] = tuple(map(float, own * len(found) if len(own) == 1 else own or found))
        for channel, (one, other) in enumerate(zip(limits["low"], limits["high"], strict=True)):
            where = f"channel {channel} of {what}" if len(low) > 1 else what
            if not math.isfinite(one) or not math.isfinite(other):
                raise RequestError(
                    f"{where} has no finite value to fit a scaling to; leave the channel out, or mend the file"
                )
            if one >= other:
                raise RequestError(
                    f"{where} is constant ({one:g}), so there is nothing to learn; give other data, or data.scaling.low and high"
                    if one == other
                    else f"data.scaling has low {one:g} above high {other:g}; exchange them"
                )
        return dataclasses.replace(self, **limits)

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., C, H, W) in [0, 1] within the limits. Missing ones (NaN) stay so."""
        raise NotImplementedError(f"the scaling {type(self).__name__} has no forward(values)")

    def inverse(self, scaled: Tensor) -> Tensor:
        """The values (..., C, H, W) of the file again."""
        raise NotImplementedError(f"the scaling {type(self).__name__} has no inverse(scaled)")

    def limits(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """`low` and `high` of a fitted scaling as (C, 1, 1), on the device and in the type of `like`."""
        return like.new_tensor(self.low)[:, None, None], like.new_tensor(self.high)[:, None, None]


@dataclass(frozen=True, kw_only=True)
class MinMax(Scaling):
    """Linear between the lowest and the highest value."""

    name: ClassVar[str] = "min-max"

    def forward(self, values: Tensor) -> Tensor:
        """(x - low) / (high - low)."""
        low, high = self.limits(values)
        return (values - low) / (high - low)

    def inverse(self, scaled: Tensor) -> Tensor:
        """low + y (high - low)."""
        low, high = self.limits(scaled)
        return low + scaled * (high - low)


@dataclass(frozen=True, kw_only=True)
class Log(Scaling):
    """Logarithmic above the lowest value, for quantities such as rain: log(1 + (x - low) / knee) over the same of `high`."""

    name: ClassVar[str] = "log"
    knee: float = setting(1.0, "distance from the lowest value up to which it is nearly linear, in the data's unit", above=0)

    def forward(self, values: Tensor) -> Tensor:
        """Values below `low` become 0."""
        low, high = self.limits(values)
        return ((values - low).clamp_min(0) / self.knee).log1p() / ((high - low) / self.knee).log1p()

    def inverse(self, scaled: Tensor) -> Tensor:
        """low + knee (exp(y log(1 + (high - low) / knee)) - 1)."""
        low, high = self.limits(scaled)
        return low + self.knee * (scaled * ((high - low) / self.knee).log1p()).expm1()
