"""The documentation does what it says: its commands run, its pipelines load, its links and options are there.

`ENGINE_BINARY` names the engine; otherwise the installed one is taken. Pages are independent of each other, and each is
tried out in a folder of its own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import engine_runs
import pytest
from engine_runs import find_binary
from pages import DOCS, blocks, merged, pages, skeleton

yaml = pytest.importorskip("yaml")

ROOT = DOCS.parent
ENGINE = find_binary()

#: Pages that train models and so take longer than a few seconds, to be left out with `-m "not slow"`.
SLOW = ("howto/sweep.md", "explanation/collapse.md")
#: What the blocks of a page need besides the engine.
NEEDS = {"howto/own-model.md": ("pyarrow", "sklearn"), "howto/python.md": ("pandas", "pyarrow")}


def names():
    for page in pages():
        name = str(page.relative_to(DOCS))
        yield pytest.param(page, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.fixture
def shell(tmp_path):
    """Runs bash in a folder of its own, in which `engine` and `python` are those of this test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "engine").symlink_to(Path(ENGINE).resolve())
    for python in ("python", "python3"):
        # A link would lose the virtual environment.
        (programs / python).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / python).chmod(0o755)
    folder = tmp_path / "page"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    kept.update(PATH=f"{programs}{os.pathsep}{kept['PATH']}", COLUMNS="80", PYTHON=str(programs / "python"))
    kept.update(ENGINE_BINARY=ENGINE, NO_COLOR="1", PYTHONPATH=str(Path(engine_runs.__file__).parent.parent))

    def run(script, expected=0):
        command = ["bash", "-euo", "pipefail", "-c", script]
        ended = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, encoding="utf-8")
        printed = ended.stdout + ended.stderr
        assert ended.returncode == expected, f"{script}\nended with {ended.returncode}:\n{printed}"
        return printed

    return folder, run


@pytest.mark.parametrize("page", list(names()))
def test_a_page_does_what_it_shows(page, shell):
    for library in NEEDS.get(str(page.relative_to(DOCS)), ()):
        pytest.importorskip(library)
    folder, run = shell
    printed, pipeline, script = "", None, ""
    for block in blocks(page):
        place = f"{page.name}:{block.line}"
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
            if block.language == "yaml":
                pipeline = yaml.safe_load(block.text)
                run(f"engine plan {block.title}")
        elif block.language == "sh":
            # What sets a variable holds for the rest of the page.
            script += "".join(f"{line}\n" for line in block.text.splitlines() if line.startswith("export "))
            printed = run(script + block.text, block.exit)
        elif block.language == "text":
            lines = [skeleton(line) for line in printed.splitlines()]
            shown = [line for line in block.text.splitlines() if line.strip()]
            missing = [line for line in shown if not any(is_shown(line, of) for of in lines)]
            assert not missing, f"{place}: the command does not print {missing}, but:\n{printed}"
        elif block.language == "yaml":
            assert pipeline is not None, f"{place}: a part of a pipeline, and no pipeline before it"
            whole = merged(pipeline, yaml.safe_load(block.text))
            (folder / "part.yaml").write_text(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True))
            if block.told == "without data":
                # All of it is checked before its files are looked for.
                assert "does not exist" in run("engine plan part.yaml", 2)
                continue
            printed = run(f"engine {'run' if block.told == 'run' else 'plan'} part.yaml")
        elif block.language == "python":
            python = "".join(it.text for it in blocks(page) if it.language == "python" and not it.title and it.line <= block.line)
            (folder / "part.py").write_text(python, encoding="utf-8")
            run("python part.py")
        else:
            assert not block.language, f"{place}: a block in {block.language} is tried out by nothing"


def is_shown(line, of):
    """Whether a line of a page is this line of an output."""
    line = skeleton(line)
    return of.startswith(line[:-1].rstrip()) if line.endswith("…") else of == line


def options():
    """The options of each command, by its words."""
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^## engine ?(.*)$", text, flags=re.M)
    found = {name: set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", part, re.M)) for name, part in zip(parts[1::2], parts[2::2])}
    shared = found.pop("")
    return {name: options | shared for name, options in found.items()}


@pytest.mark.parametrize("page", [*pages(), ROOT / "README.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_a_text_exist(page):
    known, text = options(), page.read_text(encoding="utf-8")
    for code in re.findall(r"`(engine [^`\n]+)`", text):
        words = code.split()[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        if not words[0].startswith("-"):
            assert name in known, f"{page.name}: there is no command `{code}`"
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert option in known.get(name, {"--help", "--version"}), f"{page.name}: `{code}` has no option {option}"
    every = set().union(*known.values())
    for option in re.findall(r"`(--[\w-]+)[^`\n]*`", text):
        assert option in every, f"{page.name}: no command has an option {option}"


def test_the_pipeline_of_the_readme_loads(shell):
    folder, run = shell
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    whole = [part for part in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S) if part.startswith("name:")]
    assert whole
    run("engine synth corpus --clips-per-class 3")
    for part in whole:
        (folder / "readme.yaml").write_text(part, encoding="utf-8")
        run("engine plan readme.yaml --set data=corpus")


def test_the_reference_is_that_of_the_engine():
    command = [sys.executable, ROOT / "scripts" / "reference.py", "--check"]
    ended = subprocess.run(command, env={**os.environ, "ENGINE_BINARY": ENGINE}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_every_field_of_a_record_and_every_event_is_documented(shell):
    """The pages are made from comments; this holds them to files that the engine writes."""
    import json

    folder, run = shell
    shutil.copy(ROOT / "docs" / "tests" / "record.yaml", folder)
    events = [json.loads(line) for line in run("engine run record.yaml --log-format json 2>&1 >report").splitlines()]
    page = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
    for event in events:
        for name in [event["event"], *event]:
            assert f"`{name}`" in page, f"events.md says nothing of {name}"
    page = (DOCS / "reference" / "record.md").read_text(encoding="utf-8")
    record = json.loads((folder / "runs" / "record" / "latest" / "record.json").read_text(encoding="utf-8"))

    def parts(of, name="record"):
        yield name, of
        for key in ("sweep", "environment"):
            if key in of:
                yield from parts(of[key], key)
        for key in ("table", "steps", "figures"):
            for it in of.get(key, []) if isinstance(of.get(key), list) else []:
                yield from parts(it, key)

    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    titles = {"record": "Record", "sweep": "Sweep", "environment": "Environment", "table": "Row",
              "steps": "StepRecord", "figures": "Figure"}
    for name, of in parts(record):
        for key in of:
            assert f"| `{key}` |" in sections[titles[name]], f"record.md says nothing of {name}.{key}"


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        if page.parent.name != "tests":
            assert f": {page.relative_to(DOCS)}\n" in menu, f"mkdocs.yml does not name {page}"


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_guides_name_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    there = [f"/{path.relative_to(ROOT).as_posix()}" for folder in ("cache", "docs", "engine", "ops", "reports", "scripts", "python")
             for path in (ROOT / folder).rglob("*")]
    paths = set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:rs|py|sh|yaml|md|css|js))`", text))
    assert len(paths) > 20
    missing = sorted(path for path in paths if not any(it.endswith(f"/{path}") for it in there))
    assert not missing, f"{name} names files that are not there: {missing}"
