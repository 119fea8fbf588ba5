"""The command line: ``python -m tests.benchmarks --help``."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from .clients import CLIENTS, OURS
from .plot import draw, require_matplotlib
from .processes import raise_on_signals
from .report import as_json, as_text
from .runner import BASELINE, Bench, Result
from .tools import Missing, Tools
from .workloads import WORKLOADS, Workload


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the CPU time of smtp_connection and of its peers.",
    )
    parser.add_argument(
        "--workload",
        nargs="+",
        action="extend",
        choices=WORKLOADS,
        metavar="NAME",
        help="only these (see --list)",
    )
    parser.add_argument(
        "--client",
        nargs="+",
        action="extend",
        choices=[*CLIENTS, BASELINE],
        metavar="NAME",
        help="only these, where several are compared (see --list)",
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there (PNG, SVG ...)")
    parser.add_argument(
        "--baseline", type=Path, metavar="FOLDER", help="compare with the package of that checkout"
    )
    parser.add_argument(
        "--full", action="store_true", help="as many messages as the goals for pools are about"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, one round: show that everything works"
    )
    parser.add_argument(
        "--no-fetch", dest="fetch", action="store_false", help="do without what is not there"
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="for a run; default: 300"
    )
    parser.add_argument("--list", action="store_true", help="list workloads and clients, and end")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Workload]:
    """Return the workloads that were asked for, with the clients that were asked for."""
    names = arguments.workload or list(WORKLOADS)
    workloads = [WORKLOADS[name] for name in WORKLOADS if name in names]
    if arguments.full:
        workloads = [workload.full() for workload in workloads]
    if arguments.quick:
        workloads = [workload.quick() for workload in workloads]
    if arguments.baseline is not None:
        workloads = [_with_baseline(workload) for workload in workloads]
    if arguments.client:
        workloads = [_restricted(workload, arguments.client) for workload in workloads]
    return [workload for workload in workloads if workload.entries]


def _with_baseline(workload: Workload) -> Workload:
    entries = []
    for entry in workload.entries:
        entries.append(entry)
        if entry.label == OURS == entry.client:
            entries.append(replace(entry, label=BASELINE, client=BASELINE))
    return replace(workload, entries=tuple(entries))


def _restricted(workload: Workload, clients: list[str]) -> Workload:
    entries = tuple(entry for entry in workload.entries if entry.client in clients)
    return replace(workload, entries=entries)


def _list(bench: Bench) -> None:
    print("Workloads:\n")
    for workload in WORKLOADS.values():
        print(f"  {workload.name:<18} {workload.title}")
    print("\nClients:\n")
    for client in CLIENTS.values():
        print(f"  {client.name:<18} {client.about}")
        program = bench.programs[client.name]
        if isinstance(program, Missing):
            print(f"  {'':<18} missing: {program}")
    print()
    _print_server(bench)


def _print_server(bench: Bench) -> None:
    if bench.servers.missing:
        print(f"The server is sink.py, in Python; there is no smtp-sink: {bench.servers.missing}.")
    else:
        print("The server is Postfix's smtp-sink, and sink.py, in Python, for what that cannot do.")


def _about(arguments: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": bench.cores.describe(),
        "rounds": arguments.rounds,
        "quick": arguments.quick,
        "full": arguments.full,
        "missing": {
            name: str(program)
            for name, program in bench.programs.items()
            if isinstance(program, Missing)
        },
    }


def _versions(results: list[Result]) -> dict[str, str]:
    return {
        entry.client: run.version
        for result in results
        for entry in result.workload.entries
        for run in result.runs.get(entry.label, [])
        if run is not None
    }


def _check_files(arguments: argparse.Namespace) -> None:
    """Raise :class:`Missing` for what would otherwise fail after an hour."""
    for file in (arguments.json, arguments.plot):
        if file is not None and not file.absolute().parent.is_dir():
            raise Missing(f"there is no folder {file.absolute().parent}")
    if arguments.plot is not None:
        require_matplotlib(arguments.plot)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; return 1 if a run has failed."""
    arguments = _arguments(argv)
    raise_on_signals()
    try:
        _check_files(arguments)
    except Missing as exc:
        sys.exit(f"benchmarks: {exc}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            Tools(arguments.fetch and not arguments.list),
            timeout=arguments.timeout,
            baseline=arguments.baseline,
        )
        if arguments.list:
            _list(bench)
            return 0
        about = _about(arguments, bench)
        print(f"Python {about['python']}, {about['system']}. {about['cores']}")
        _print_server(bench)
        if arguments.rounds > 1:
            print(f"Medians of {arguments.rounds} rounds, the least and the most in brackets.")
        print()
        results = []
        for workload in _chosen(arguments):
            result = bench.run(workload, arguments.rounds, _tell)
            results.append(result)
            print(as_text(result, judged=not arguments.quick), flush=True)
    about["versions"] = _versions(results)
    print("Versions: " + ", ".join(f"{name} {it}" for name, it in about["versions"].items()))
    report = {"about": about, "workloads": [as_json(result) for result in results]}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if arguments.plot is not None:
        draw(report, arguments.plot)
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
