"""Starts the engine from Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Callable, Mapping

from ._run import Run, open as open_run


class RunFailed(Exception):
    """A run that did not end well. `code` is the exit code, `messages` what the engine said."""

    def __init__(self, code: int, messages: list[str]):
        self.code, self.messages = code, messages
        super().__init__("\n".join(messages) or f"the engine ended with code {code}")


def find_binary() -> str:
    """The path of the engine: `ENGINE_BINARY`, the one that was installed with this package, or the first on PATH."""
    named = os.environ.get("ENGINE_BINARY")
    if named:
        return named
    suffix = sysconfig.get_config_var("EXE") or ""
    for scheme in (None, f"{os.name}_user"):
        folder = sysconfig.get_path("scripts") if scheme is None else sysconfig.get_path("scripts", scheme)
        beside = Path(folder) / f"engine{suffix}"
        if beside.is_file():
            return str(beside)
    found = shutil.which("engine")
    if found is None:
        raise FileNotFoundError("there is no `engine` beside this Python or on PATH; set ENGINE_BINARY to its path")
    return found


def show_progress(event: dict[str, Any]) -> None:
    """Prints a line for each step that ends, each warning and each error."""
    kind = event.get("event")
    if kind == "step_finished":
        seconds = event.get("seconds")
        took = "" if seconds is None else f"  {seconds:.2f} s"
        print(f"{event['step']}: {event['status']}{took}", file=sys.stderr)
    elif kind in ("warning", "error"):
        print(f"{kind}: {event['message']}", file=sys.stderr)


def run(
    pipeline: str | os.PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] = "runs",
    store: str | os.PathLike[str] | None = None,
    arguments: tuple[str, ...] = (),
    on_event: Callable[[dict[str, Any]], None] | None = show_progress,
) -> Run:
    """Runs a pipeline and returns its run.

    `set` holds variables and parameters (`{"vae.beta": 2}`), `arguments` any further options of `engine run`.
    `on_event` is called with each event of the engine as it comes; the default prints a line for each step.
    Raises `RunFailed` where the engine ends with another code than 0. An interrupt of Python ends the engine too.
    """
    command = [find_binary(), "run", os.fspath(pipeline), "--log-format", "json", "--out", os.fspath(out)]
    if store is not None:
        command += ["--store", os.fspath(store)]
    for name, value in (set or {}).items():
        command += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    messages: list[str] = []
    try:
        assert process.stderr is not None and process.stdout is not None
        for line in process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                messages.append(line.rstrip())
                continue
            if event.get("event") == "error":
                messages.append(_message(event))
            if on_event is not None:
                on_event(event)
        report = process.stdout.read().strip()
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise RunFailed(code, messages)
    return open_run(Path(report.splitlines()[-1]).parent, store=store)


def _message(event: dict[str, Any]) -> str:
    place = f"{event['file']}:{event['line']}: " if "line" in event and "file" in event else ""
    help = f" (help: {event['help']})" if event.get("help") else ""
    return f"{place}{event['message']}{help}"
