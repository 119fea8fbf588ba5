"""The command line: ``python -m tests.fuzz --help``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from . import TARGETS

FOLDER = Path(__file__).parent
FOUND = FOLDER.parent.parent / ".cache" / "fuzz"

# Bytes.  All that there is to find is near the beginning.
LONGEST = 2048


def main() -> int:
    """Fuzz one target, or all of them; or show what an input does."""
    arguments = _arguments()
    if arguments.inputs:
        check = import_module(f"tests.fuzz.{arguments.target}").check
        for path in arguments.inputs:
            check(path.read_bytes())
        return 0
    if arguments.target:
        fuzz(arguments.target, arguments.seconds)
        return 0
    # Each in a process of its own: libFuzzer never returns.
    for target in TARGETS:
        print(f"\n=== {target}\n", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(arguments.seconds)]
        if subprocess.run(command).returncode:
            return 1
    return 0


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the package.")
    parser.add_argument("target", nargs="?", choices=TARGETS, help="without it: all, in turn")
    parser.add_argument("inputs", nargs="*", type=Path, help="only run these files, once each")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default: 60")
    return parser.parse_args()


def fuzz(target: str, seconds: int) -> None:
    """Fuzz ``target``; what is found, and the inputs that reach something new, are kept."""
    try:
        import atheris
    except ImportError:
        sys.exit("Fuzzing needs an extra: pip install -e '.[test,fuzz]'")
    with atheris.instrument_imports(include=["smtp_connection"]):
        check = import_module(f"tests.fuzz.{target}").check
    reached = FOUND / target
    reached.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-timeout=20",
        f"-artifact_prefix={FOUND / target}-",
        "-print_final_stats=1",
    ]
    # New inputs go to the first folder.
    atheris.Setup([sys.argv[0], *options, str(reached), str(FOLDER / "corpus" / target)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
