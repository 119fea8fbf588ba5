"""What came of it: medians, ratios pair by pair, and whether the goals are met."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .clients import OURS
from .runner import Result, Run
from .workloads import Entry, Goal, Measure, Workload

__all__ = ["Figure", "Judgement", "as_json", "as_text", "digits", "judgements"]

GROWTH_LIMIT = 1.5
"""On a curve, the most that a unit may cost at the largest size, times the size before it."""

_UNITS: dict[Measure, str] = {
    "cpu": "us of CPU",
    "wall": "us of wall time",
    "memory": "KiB of memory",
    "load": "% of a core while idle",
    "pause": "ms in which nothing else goes on",
}


@dataclass(frozen=True)
class Figure:
    """The median of all rounds, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Figure | None:
        """Return the figure for ``values``; ``None`` if there are none."""
        return cls(median(values), min(values), max(values)) if values else None

    def show(self) -> str:
        """Return the median, and the spread behind it where there is one."""
        if self.least == self.most:
            return digits(self.median)
        return f"{digits(self.median)} ({digits(self.least)}-{digits(self.most)})"


@dataclass(frozen=True)
class Judgement:
    """A goal, and the figure that it is judged by; ``met`` is ``None`` if there is none."""

    goal: str
    figure: Figure | None
    met: bool | None


def digits(value: float) -> str:
    """Return ``value`` with three digits that mean something, or all before the point."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.1 or not value else f"{value:.2f}"


# -- figures --------------------------------------------------------------------------------------


def _value(result: Result, entry: Entry, run: Run | None, measure: Measure) -> float | None:
    if run is None:
        return None
    if measure == "memory":
        return None if run.memory is None else run.memory / 1024 / entry.task.connections
    if measure == "pause":
        return None if run.pause is None else run.pause * 1000
    if measure == "load":
        idle = run.seconds("wall", "idle")
        return run.seconds("cpu", "idle") / idle * 100 if idle else None
    workload = result.workload
    return run.seconds(measure, workload.phase) / workload.units(entry.task) * 1e6


def _values(result: Result, label: str, measure: Measure = "cpu") -> list[float | None]:
    return [
        _value(result, entry, run, measure)
        for entry in result.workload.entries
        if entry.label == label
        for run in result.runs.get(label, [])
    ]


def _figure(result: Result, label: str, measure: Measure = "cpu") -> Figure | None:
    return Figure.of([value for value in _values(result, label, measure) if value is not None])


def _ratio(result: Result, label: str, other: str, measure: Measure = "cpu") -> Figure | None:
    """Return ``label`` over ``other``, of the runs of the same round."""
    pairs = zip(_values(result, label, measure), _values(result, other, measure), strict=False)
    return Figure.of([first / second for first, second in pairs if first and second])


def _lead(workload: Workload) -> str:
    """Return the label that the others are compared with."""
    return workload.entries[0].label


# -- goals ----------------------------------------------------------------------------------------


def judgements(result: Result) -> list[Judgement]:
    """Judge the goals of the workload; those about a client that is not there have no figure."""
    judged = [_judge(result, goal) for goal in result.workload.goals]
    if result.workload.is_curve:
        judged.append(_judge_growth(result))
    return judged


def _judge(result: Result, goal: Goal) -> Judgement:
    if goal.other:
        text = f"at most {goal.limit:g} x {goal.other}"
        figure = _ratio(result, goal.label, goal.other, goal.measure)
    else:
        unit = "connection" if goal.measure == "memory" else result.workload.unit
        text = f"at most {goal.limit:,g} {_UNITS[goal.measure]}"
        text += "" if goal.measure in ("load", "pause") else f" a {unit}"
        figure = _figure(result, goal.label, goal.measure)
    if goal.label != _lead(result.workload):
        text = f"{goal.label}: {text}"
    return Judgement(text, figure, None if figure is None else figure.median <= goal.limit)


def _judge_growth(result: Result) -> Judgement:
    """No curve is above linear: a unit costs no more when there are more of them.

    What is judged is the last step, where all that happens once has ceased to matter.  The floor
    has such a step as well where caches end, so ours may be that much steeper.
    """
    text = f"a unit at the largest size costs at most {GROWTH_LIMIT:g} x that at the size before it"
    ours = _last_steps(result, OURS)
    floor = _last_steps(result, "floor")
    if any(floor):
        text += ", beyond what it is for the floor"
        ours = [our and its and our / max(1.0, its) for our, its in zip(ours, floor, strict=False)]
    figure = Figure.of([growth for growth in ours if growth])
    return Judgement(text, figure, None if figure is None else figure.median <= GROWTH_LIMIT)


def _last_steps(result: Result, client: str) -> list[float | None]:
    """Return by what factor the cost of a unit grows in the last step, round by round."""
    curve = [entry.label for entry in result.workload.entries if entry.client == client]
    if len(curve) < 2:
        return []
    steps = zip(_values(result, curve[-2]), _values(result, curve[-1]), strict=False)
    return [after / before if after and before else None for before, after in steps]


# -- text -----------------------------------------------------------------------------------------


def as_text(result: Result, judged: bool = True) -> str:
    """Return the section on one workload; ``judged``: with its goals."""
    workload = result.workload
    server = f"Server: {result.server}." if result.server else ""
    remarks = " ".join(filter(None, [server, workload.remark]))
    lines = [f"{workload.name}: {workload.title}", *filter(None, [remarks])]
    lines += ["", *_table([_heading(workload), *_rows(result)])]
    resumed = {
        label: sum(run.counted.get("resumed", 0) for run in runs if run is not None)
        for label, runs in result.runs.items()
    }
    if any(entry.task.starttls for entry in workload.entries):
        shown = ", ".join(f"{label} {count}" for label, count in resumed.items() if count)
        lines += ["", f"TLS sessions resumed: {shown or 'none, by nobody'}"]
    if judged:
        lines += ["", *(_show(judgement) for judgement in judgements(result))]
    lines += [f"left out: {label}: {why}" for label, why in result.left_out.items()]
    lines += [f"FAILED: {failure}" for failure in result.failures]
    return "\n".join(lines).rstrip() + "\n"


def _show(judgement: Judgement) -> str:
    if judgement.figure is None:
        return f"goal not judged: {judgement.goal}"
    verdict = "met" if judgement.met else "MISSED"
    return f"goal {verdict}: {judgement.goal}: {judgement.figure.show()}"


def _heading(workload: Workload) -> list[str]:
    unit = workload.unit
    heading = [f"CPU us/{unit}", "kernel", f"wall us/{unit}"]
    if workload.is_curve:
        return ["client, size", *heading]
    return ["client", *heading, f"{_lead(workload)} / it", "it / floor", "notes"]


def _rows(result: Result) -> list[list[str]]:
    rows = []
    for entry in result.workload.entries:
        cpu = _figure(result, entry.label)
        wall = _figure(result, entry.label, "wall")
        if cpu is None or wall is None:
            continue
        row = [entry.label, cpu.show(), digits(_kernel(result, entry)), wall.show()]
        if not result.workload.is_curve:
            lead = _lead(result.workload)
            for first, second in ((lead, entry.label), (entry.label, "floor")):
                ratio = _ratio(result, first, second) if first != second else None
                row.append("" if ratio is None else ratio.show())
            row.append(_notes(result, entry))
        rows.append(row)
    return rows


def _per_unit(result: Result, entry: Entry, what: str, phase: str) -> float:
    units = result.workload.units(entry.task)
    runs = result.runs[entry.label]
    return median(run.seconds(what, phase) / units * 1e6 for run in runs if run is not None)


def _kernel(result: Result, entry: Entry) -> float:
    return _per_unit(result, entry, "system", result.workload.phase)


def _notes(result: Result, entry: Entry) -> str:
    notes = []
    for measure in ("memory", "load"):
        figure = _figure(result, entry.label, measure)
        if figure is not None:
            notes.append(f"{figure.show()} {_UNITS[measure]}")
    run = next(run for run in result.runs[entry.label] if run is not None)
    names = [phase["name"] for phase in run.phases]
    if len(names) > 1 and not result.workload.phase:
        parts = (f"{name} {digits(_per_unit(result, entry, 'cpu', name))}" for name in names)
        notes.append(" + ".join(parts))
    return ", ".join(notes)


def _table(rows: list[list[str]]) -> list[str]:
    """Return ``rows`` as lines, the first column to the left, the others to the right."""
    used = [index for index, name in enumerate(zip(*rows[1:], strict=True)) if any(name)]
    rows = [[row[index] for index in used] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


# -- JSON -----------------------------------------------------------------------------------------


def as_json(result: Result) -> dict[str, Any]:
    """Return the same for programs: every run, the figures, the goals."""
    workload = result.workload
    return {
        "name": workload.name,
        "title": workload.title,
        "server": result.server,
        "unit": workload.unit,
        "phase": workload.phase or None,
        "entries": [_entry_as_json(result, entry) for entry in workload.entries],
        "goals": [
            {"goal": each.goal, "met": each.met, "figure": each.figure and asdict(each.figure)}
            for each in judgements(result)
        ],
        "left_out": result.left_out,
        "failures": result.failures,
    }


def _entry_as_json(result: Result, entry: Entry) -> dict[str, Any]:
    figures = {measure: _figure(result, entry.label, measure) for measure in _UNITS}
    ratios = {
        "lead_over_it": _ratio(result, _lead(result.workload), entry.label),
        "it_over_floor": _ratio(result, entry.label, "floor"),
    }
    return {
        "label": entry.label,
        "client": entry.client,
        "size": entry.size or None,
        "task": asdict(entry.task),
        "units": result.workload.units(entry.task),
        **{name: figure and asdict(figure) for name, figure in (figures | ratios).items()},
        "runs": [run and asdict(run) for run in result.runs.get(entry.label, [])],
    }
