"""The results as a picture: deliveries a second, and CPU a delivery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import EngFormatter

from .regimes import Figure, Regime
from .rows import Row

OURS_COLOUR, PEER_COLOUR = "#0b6e4f", "#9aa5b1"
DRAWN = ("sixteen", "one", "pairs")
_AXES = {Figure.RATE: "deliveries a second", Figure.CPU: "server CPU a delivery, µs"}


def draw(rows: Sequence[Row], path: Path, *, caption: str) -> bool:
    """Write a PNG. Return False if none of its regimes was measured."""
    regimes = [
        regime
        for regime in dict.fromkeys(row.regime for row in rows)
        if regime.name in DRAWN and any(row.value for row in rows if row.regime == regime)
    ]
    regimes.sort(key=lambda regime: not regime.figure.more_is_better)
    if not regimes:
        return False
    width = 5.2 * len(regimes)
    figure, axes = pyplot.subplots(1, len(regimes), figsize=(width, 4.2), squeeze=False)
    for axis, regime in zip(axes[0], regimes, strict=True):
        _draw_regime(axis, regime, [row for row in rows if row.regime == regime])
    figure.text(0.01, 0.01, caption, fontsize=7, color="#555555")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


def _draw_regime(axis: Any, regime: Regime, rows: Sequence[Row]) -> None:
    rows = [row for row in reversed(rows) if row.value]
    values = [row.value or 0 for row in rows]
    colours = [OURS_COLOUR if row.peer.is_ours else PEER_COLOUR for row in rows]
    bars = axis.barh([row.peer.name for row in rows], values, color=colours)
    labels = [f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values]
    axis.bar_label(bars, labels, padding=3)
    axis.set_xlim(0, max(values) * 1.2)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlabel(_AXES[regime.figure])
    better = "more" if regime.figure.more_is_better else "less"
    axis.set_title(f"{regime.title}\n({better} is better)", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
