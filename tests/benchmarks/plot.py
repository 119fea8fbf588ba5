"""The report as a picture: bars for the comparisons, lines for the curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .clients import BENCH_EXTRA, OURS
from .report import digits
from .tools import Missing

__all__ = ["draw", "require_matplotlib"]

_COLUMNS = 3
_OURS_COLOUR = "tab:blue"
_OTHER_COLOUR = "lightsteelblue"
_FLOOR_COLOUR = "silver"


def require_matplotlib(file: Path) -> None:
    """Raise :class:`Missing` if there is no matplotlib, or it cannot write a ``file`` so named."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise Missing(f"a plot needs matplotlib: {BENCH_EXTRA}") from None
    known = FigureCanvasBase.get_supported_filetypes()
    if file.suffix[1:] not in known:
        raise Missing(f"{file} is to end with one of: {', '.join(sorted(known))}")


def draw(report: dict[str, Any], file: Path) -> None:
    """Draw the report, in the form of the JSON file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = [
        workload
        for workload in report["workloads"]
        if any(entry["cpu"] for entry in workload["entries"])
    ]
    rows = -(-len(measured) // _COLUMNS) or 1
    figure, grid = pyplot.subplots(
        rows, _COLUMNS, figsize=(6 * _COLUMNS, 3.4 * rows), squeeze=False, layout="constrained"
    )
    cells = list(grid.flat)
    for axes, workload in zip(cells, measured, strict=False):
        axes.set_title(f"{workload['name']}\n{workload['title']}", fontsize=8)
        axes.tick_params(labelsize=8)
        (_draw_curve if workload["entries"][0]["size"] else _draw_bars)(axes, workload)
    for axes in cells[len(measured) :]:
        axes.set_axis_off()
    about = report["about"]
    figure.suptitle(
        f"CPU time of the client: median of {about['rounds']} rounds, with least and most;"
        f" Python {about['python']}, {about['date']}"
    )
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _errors(entries: list[dict[str, Any]]) -> list[list[float]]:
    costs = [entry["cpu"] for entry in entries]
    return [
        [cost["median"] - cost["least"] for cost in costs],
        [cost["most"] - cost["median"] for cost in costs],
    ]


def _draw_bars(axes: Any, workload: dict[str, Any]) -> None:
    entries = [entry for entry in reversed(workload["entries"]) if entry["cpu"]]
    lead = workload["entries"][0]["label"]
    colours = {lead: _OURS_COLOUR, OURS: _OURS_COLOUR, "floor": _FLOOR_COLOUR}
    labels = [entry["label"] for entry in entries]
    bars = axes.barh(
        labels,
        [entry["cpu"]["median"] for entry in entries],
        xerr=_errors(entries),
        color=[colours.get(label, _OTHER_COLOUR) for label in labels],
    )
    axes.bar_label(bars, fmt=digits, fontsize=8, padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(f"us per {workload['unit']}", fontsize=8)


def _draw_curve(axes: Any, workload: dict[str, Any]) -> None:
    for client, colour in ((OURS, _OURS_COLOUR), ("floor", _FLOOR_COLOUR)):
        entries = [
            entry for entry in workload["entries"] if entry["client"] == client and entry["cpu"]
        ]
        axes.errorbar(
            [entry["size"] for entry in entries],
            [entry["cpu"]["median"] for entry in entries],
            yerr=_errors(entries),
            marker="o",
            color=colour,
            label=client,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel(f"us per {workload['unit']}", fontsize=8)
    axes.legend(fontsize=8)
    axes.grid(True, which="both", alpha=0.3)
