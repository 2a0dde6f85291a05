#!/usr/bin/env python3
"""Writes the reference part of the documentation, `docs/reference/`, from what the engine says of itself.

    python3 scripts/reference.py            writes the pages again
    python3 scripts/reference.py --check    fails, and names the pages, where they differ from the engine

`ENGINE_BINARY` names the engine; otherwise it is the one of `target/release`. Nothing but Python itself is needed.
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
ENGINE = os.environ.get("ENGINE_BINARY") or str(ROOT / "target" / "release" / "engine")

#: A study that makes scores of every kind, so that each metric can be asked what it is.
ALL_METRICS = """
steps:
  clips: { op: synth, clips_per_class: 6, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  pca: { op: pca, in: mel, components: 3 }
  mixture: { op: gaussian_mixture, in: pca, clusters: 3, covariance: diagonal, seed: 0 }
  scores: { op: metrics, in: { features: pca, clusters: mixture, truth: clips.labels } }
  dense: { op: hdbscan, in: pca }
  noisy: { op: metrics, in: { features: pca, clusters: dense } }
  read: { op: probe, in: { features: pca, truth: clips.labels }, seed: 0 }
  tags: { op: tagging, in: { features: pca, truth: clips.labels, test_features: pca, test_truth: clips.labels } }
  factors: { op: synth_factors, in: clips }
  apart: { op: disentanglement, in: { features: pca, factors: factors }, seed: 0 }
"""
#: The outputs of that study with scores, and the op whose page defines them.
SCORES = {"scores.scores": "metrics", "noisy.scores": "metrics", "read.scores": "probe",
          "tags.scores": "tagging", "apart.scores": "disentanglement",
          "mixture.criteria": "gaussian_mixture"}


def engine(*words, cwd=None):
    """What a command of the engine prints."""
    # Pages do not depend on the terminal or on a store.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    kept.update(COLUMNS="100", NO_COLOR="1")
    ended = subprocess.run([ENGINE, *words], capture_output=True, text=True, encoding="utf-8", cwd=cwd, env=kept)
    if ended.returncode != 0:
        sys.exit(f"`engine {' '.join(words)}` ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout


def prose(text):
    """Text for Markdown: what would act in it is escaped, except in code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]|])", r"\\\1", part) for part in parts)


def cell(text):
    """Prose in a cell of a table, where a bar would end it in code too."""
    return re.sub(r"(?<!\\)\|", r"\\|", prose(text))


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(':--' for _ in head)}|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def page(title, made_from, *parts):
    note = f"<!-- Made by scripts/reference.py from {made_from}; do not edit. -->"
    return "\n".join([f"# {title}\n", note, "", *parts]).rstrip() + "\n"


def blocks(text):
    """Paragraphs, and list items with what continues them, one text each."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if all(line.startswith("    ") for line in block.split("\n")):
            yield "```yaml\n" + textwrap.dedent(block) + "\n```"
            continue
        items = [f"- {prose(it[2:])}" if it.startswith("- ") else prose(it) for it in re.split(r"\n(?=- )", block)]
        # A list needs an empty line before it.
        yield "\n".join(items[:1] + [""] * (len(items) > 1 and not items[0].startswith("- ")) + items[1:])


# Ops.


def entries(lines):
    """The entries of a part of an op's page: what stands at two spaces, and the text at six below it."""
    found = []
    for line in lines:
        if line.startswith("      ") and found:
            found[-1][1].append(line.strip())
        elif found and not re.match(r"  \S", line):
            found[-1][0] += " " + line.strip()
        else:
            found.append([line.strip(), []])
    return found


def choices(expected, doc):
    """The meaning of a parameter; what each of its choices means stands on a line of its own."""
    names = "|".join(map(re.escape, re.findall(r"`([^`]*)`", expected))) or "$^"
    lines = [re.sub(rf"^({names}): ", r"<br>`\1`: ", line) for line in doc]
    return "<br>".join(cell(part.strip()) for part in " ".join(lines).split("<br>"))


def op_page(name):
    text = engine("ops", name)
    parts = re.split(r"\n(Inputs|Outputs|Parameters|In a pipeline)\n", text.split("\n", 1)[1])
    out = [f"## {name}\n", "\n\n".join(blocks(parts[0])), ""]
    for title, body in zip(parts[1::2], parts[2::2]):
        lines = [line for line in body.split("\n") if line.strip()]
        if title == "In a pipeline":
            out += ["```yaml", *(line.strip() for line in lines), "```", ""]
        elif title in ("Inputs", "Outputs"):
            rows = [re.match(r"(\w+) \((.*)\)$", head) for head, _ in entries(lines)]
            if not all(rows):
                out += [f"{title}: {prose(' '.join(lines))}.", ""]
                continue
            cells = [[f"`{it[1]}`", cell(it[2]), cell(" ".join(doc))] for it, (_, doc) in zip(rows, entries(lines))]
            out += [table([title[:-1].lower(), "kind", "meaning"], cells)]
        else:
            rows = [re.match(r"(\w+): (.*) \((?:default (.*)|(required|optional))\)$", head) for head, _ in entries(lines)]
            if not all(rows):
                out += ["It has no parameters.", ""]
                continue
            cells = []
            for it, (_, doc) in zip(rows, entries(lines)):
                default = f"`{it[3]}`" if it[3] is not None else it[4]
                cells.append([f"`{it[1]}`", cell(it[2]), default, choices(it[2], doc)])
            out += [table(["parameter", "value", "default", "meaning"], cells)]
    return "\n".join(out)


def ops(schema):
    names = [name.removeprefix("op.") for name in schema["definitions"] if name.startswith("op.")]
    docs = {name: schema["definitions"][f"op.{name}"]["description"] for name in names}
    rows = [[f"[`{name}`](#{name})", cell(re.split(r"(?<=\.) ", " ".join(docs[name].split()))[0])] for name in names]
    intro = "What a step can do. `engine ops` prints this list, and `engine ops NAME` one entry of it.\n"
    return page("Ops", "`engine ops`", intro, table(["op", "what it does"], rows), *map(op_page, names))


# Metrics.


def metrics(schema):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "all.yaml").write_text(ALL_METRICS, encoding="utf-8")
        engine("-q", "run", "all.yaml", cwd=folder)
        rows = {}
        for output, op in SCORES.items():
            engine("export", "latest", output, "--to", "scores.csv", cwd=folder)
            text = (Path(folder) / "scores.csv").read_text(encoding="utf-8")
            rows |= {row["metric"]: (row, op) for row in csv.DictReader(io.StringIO(text))}
    columns = schema["properties"]["report"]["properties"]["columns"]["items"]["anyOf"][0]["enum"]
    if set(columns) != rows.keys():
        sys.exit(f"the metrics of the schema are not those of the scores: {sorted(set(columns) ^ rows.keys())}")
    arrows = {"maximize": "↑", "minimize": "↓", "": ""}
    cells = [
        [
            f"[`{row['metric']}`](ops.md#{op})",
            cell(row["title"]),
            arrows[row["direction"] or ""],
            "yes" if float(row["uses_labels"]) else "",
            f"{float(row['chance']):g}" if row["chance"] not in ("", "NaN", "nan") else "",
            "yes" if float(row["shown"]) else "",
        ]
        for row, op in map(rows.get, columns)
    ]
    head = ["metric", "title", "better", "needs classes", "chance level", "shown by default"]
    intro = (
        "The metrics that the engine's own ops give. Any of them can be a column (`report: { columns: [ari, v_measure] }`),\n"
        "an objective of a search, a cell for `engine why`, and a published value. The scores of a program of your own may have\n"
        "others. Where a metric is not defined, such as the silhouette of a single cluster, its cell is empty and a note says why.\n\n"
        "↑: higher is better, ↓: lower is better. Each name leads to the definition. The last column says which are shown\n"
        "where a pipeline names no `columns`.\n"
    )
    return page("Metrics", "the scores of a run", intro, table(head, cells))


# The pipeline.


def values(schema):
    """What a value may be, in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{it}`" for it in schema["enum"])
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return {"reference": "a step or its output", "variable": "", "for": "names with values"}.get(name, name)
    for key in ("anyOf", "allOf", "oneOf"):
        if key in schema and "properties" not in schema:
            return " or ".join(dict.fromkeys(filter(None, map(values, schema[key]))))
    names = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "`true` or `false`",
             "array": "a list", "object": "a map"}
    kinds = schema.get("type", [])
    words = [names[it] for it in ([kinds] if isinstance(kinds, str) else kinds) if it != "null"]
    text = " or ".join(words) or ("a map" if "properties" in schema else "")
    if "minimum" in schema and "maximum" in schema:
        text += f" from {schema['minimum']:,} to {schema['maximum']:,}"
    return text


def keys(properties, required=()):
    rows = []
    for name, it in properties.items():
        need = "required" if name in required else ""
        rows.append([f"`{name}`", cell(values(it)), need, cell(it.get("description", ""))])
    return table(["key", "value", "", "meaning"], rows)


def pipeline(schema):
    top = schema["properties"]
    step = {k: v for k, v in schema["definitions"]["op.metrics"]["properties"].items() if k != "noise"}
    step["op"], step["in"] = {"type": "string", **{k: v for k, v in step["op"].items() if k != "const"}}, {
        "description": step["in"]["description"], "anyOf": [{"$ref": "reference/reference"}, {"type": "object"}]}
    report = top["report"]["properties"]
    rows = report["table"]["items"]
    parts = [
        "Every key that a pipeline may have. `engine schema` prints all of it for editors (JSON schema), which then complete\n"
        "and check pipelines while you write: begin the file with `# yaml-language-server: $schema=pipeline.schema.json`.\n",
        "## The file\n", keys(top, schema.get("required", ())),
        "`${name}` stands for a variable, `${env:NAME}` for a variable of the environment, and `${env:NAME:-text}` for the text\n"
        "where that is not set. `--set name=value` gives a variable, `--set step.parameter=value` a parameter.\n",
        "## A step\n",
        "A step also takes the parameters of its op, which stand under [ops](ops.md).\n", keys(step, ["op"]),
        "What `resources` may say:\n", keys(step["resources"]["properties"]),
        "## `report`\n", keys(report),
        "A row of `table`:\n", keys(rows["properties"], rows["required"]),
        "The kinds of `figures` are under [figures](figures.md), the kinds of `sweep` under [sweeps](sweeps.md).\n",
    ]
    return page("Pipeline", "`engine schema`", *parts)


def figures(schema):
    kinds = schema["properties"]["report"]["properties"]["figures"]["items"]["oneOf"]
    style = schema["properties"]["report"]["properties"]["style"]["properties"]
    shared = ("figure", "title", "caption", "for", *style)
    first = kinds[0]["properties"]
    names = [kind["properties"]["figure"]["const"] for kind in kinds]
    parts = [
        "The kinds of figures that a report can show: `report: { figures: [{ figure: KIND, of: STEP }] }`.\n",
        table(["kind", "what it shows"], [[f"[`{n}`](#{n})", cell(k["properties"]["figure"]["description"])] for n, k in zip(names, kinds)]),
        "Every kind takes these keys beside its own, `picture` only the first three:\n",
        keys({name: first[name] for name in shared if name != "figure"}),
        "`report: { style: { palette: muted, font_size: 8 } }` sets the keys from `width` on for all figures that do not have them.\n",
    ]
    for name, kind in zip(names, kinds):
        own = {key: value for key, value in kind["properties"].items() if key not in shared}
        doc = kind["properties"]["figure"]["description"]
        parts += [f"## {name}\n", prose(doc) + "\n", keys(own, kind["required"])]
    return page("Figures", "`engine schema`", *parts)


def sweeps(schema):
    sweep = schema["properties"]["sweep"]["properties"]
    samplers = [n for n in sweep if n not in ("objective", "include", "exclude")]
    others = {n: v for n, v in sweep.items() if n not in samplers}
    parts = [
        "How the points of a sweep are chosen. A sweep names one of these samplers; what varies is a parameter of a step\n"
        "(`vae.beta`), of one instance of a `for` (`groups@pca.clusters`), or a variable.\n",
        table(["sampler", "points"], [[f"[`{n}`](#{n})", cell(sweep[n]["description"])] for n in samplers]),
        "Values are lists (`[1, 4, 16]`), or ranges as in Python and NumPy: `range(START, END, STEP)` without its end,\n"
        "`linspace(START, END, COUNT)`, and `logspace(START, END, COUNT)` with exponents of ten. Samplers that draw points also\n"
        "take `uniform(LOW, HIGH)` and `loguniform(LOW, HIGH)`.\n",
        "Beside the sampler, a sweep may say:\n", keys(others),
    ]
    for name in samplers:
        kind = sweep[name]
        parts += [f"## {name}\n", prose(kind["description"]) + "\n"]
        if kind.get("properties"):
            parts.append(keys(kind["properties"], kind.get("required", ())))
    return page("Sweeps", "`engine schema`", *parts)


# The command line.


def commands():
    """Every command with its help, those below `cache` too, in the order of the list."""
    def listed(text):
        part = text.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
        return [line.split()[0] for line in part.splitlines() if re.match(r"  \S", line)]

    top = engine("--help")
    yield "engine", top
    for name in listed(top):
        text = engine(name, "--help")
        yield f"engine {name}", text
        if "\nCommands:\n" in text:
            for below in listed(text):
                yield f"engine {name} {below}", engine(name, below, "--help")


def cli():
    parts = ["What `--help` prints of each command. Options that every command takes are shown with the first alone.\n"]
    for name, text in commands():
        if name != "engine":
            shared = r"(-q, --quiet|-v, --verbose|--log-format|--trace)"
            # An option is a line with its name and every line that stands further to the right.
            kept, skips = [], False
            for line in text.splitlines():
                if re.match(rf"\s+{shared}", line):
                    skips = True
                    continue
                if skips and (re.match(r"\s{7,}\S", line) and not re.match(r"\s+--\w", line)):
                    continue
                if skips and not line.strip():
                    continue
                if skips and kept and kept[-1].strip() and re.match(r"\S", line):
                    kept.append("")
                skips = False
                kept.append(line.rstrip())
            text = "\n".join(kept)
        parts += [f"## {name}\n", "```text", text.rstrip(), "```", ""]
    return page("Command line", "`engine help`", *parts)


# Files, from the comments of the sources that write them.


def module_doc(path):
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    text = []
    for line in lines:
        if not line.startswith("//!"):
            break
        text.append(line[4:])
    return re.sub(r"\[([`\w:]+)\](?!\()", r"\1", "\n".join(text))


def structs(path):
    """The public structs and enums of a Rust file: name, doc, and (field, type, doc) of each field or variant."""
    text = (ROOT / path).read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    item = re.compile(r"((?:^///.*\n)+)(?:^#\[.*\n)*^pub (struct|enum) (\w+) \{\n((?:^    .*\n)*)^\}", re.M)
    part = re.compile(r"((?:^    ///.*\n)+)(?:^    #\[.*\n)*^    (?:pub (\w+): (.*?)|(\w+)),$", re.M)
    doc = lambda lines: " ".join(line.strip().removeprefix("///").strip() for line in lines.splitlines())
    for docs, sort, name, body in item.findall(text):
        fields = [(a or snake(c), b, doc(d)) for d, a, b, c in part.findall(body)]
        yield sort, name, doc(docs), fields


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def form(rust, links):
    """A Rust type in the words of JSON."""
    simple = {"String": "text", "f64": "number", "bool": "`true` or `false`", "Value": "any value", "Digest": "digest"}
    if rust in simple:
        return simple[rust]
    if rust in ("u32", "u64", "usize"):
        return "whole number"
    if match := re.fullmatch(r"Option<(.*)>", rust):
        return f"{form(match[1], links)}, or absent"
    if match := re.fullmatch(r"Vec<\(String, Value\)>", rust):
        return "list of pairs of name and value"
    if match := re.fullmatch(r"Vec<(.*)>", rust):
        return f"list of {form(match[1], links)}"
    if match := re.fullmatch(r"BTreeMap<String, (.*)>", rust):
        return f"map to {form(match[1], links)}"
    return f"[{rust}](#{rust.lower()})" if rust in links else rust


def undoc(text):
    """Links of Rust's documentation as code."""
    return re.sub(r"\[`([^`\]]*)`\]", r"`\1`", text)


def record():
    found = list(structs("cache/src/record.rs"))
    links = {name for _, name, _, _ in found} | {"Shape"}
    parts = [
        "`runs/STUDY/ID/record.json` holds all that a run did. Reports, `engine show`, `diff`, `why` and the Python package read it\n"
        "and nothing else besides the store. Fields may be added; `version` rises when one changes its meaning or goes.\n"
    ]
    for sort, name, doc, fields in found:
        parts += [f"## {name}\n", prose(undoc(doc)) + "\n"]
        if sort == "enum":
            parts.append(table(["value", "meaning"], [[f'`"{a}"`', cell(undoc(d))] for a, _, d in fields]))
        else:
            parts.append(table(["field", "value", "meaning"], [[f"`{a}`", form(b, links), cell(undoc(d))] for a, b, d in fields]))
    parts += [
        "## Shape\n", "The shape of an output: `kind`, the kind of the artifact; `rows`, how many; and `row`, the shape of one row of\n"
        "an array, such as `[128, 130]`, or null. Kinds are listed under [store](store.md#kinds).\n",
        "## Other files of a run\n",
        table(["file", "content"], [
            ["`report.md`, `report.html`, `report.tex`", "the report; the page holds its figures and needs no other file"],
            ["`results.csv`, `results.parquet`", "every score of every row in full precision: " + ", ".join(f"`{it}`" for it in results_columns())],
            ["`figures/NN-KIND.svg`, `.png`", "the figures, in their order"],
        ]),
    ]
    return page("record.json", "`cache/src/record.rs`", *parts)


def results_columns():
    """The header of `results.csv` of a run."""
    with tempfile.TemporaryDirectory() as folder:
        text = ALL_METRICS + "report: { table: [{ row: a, scores: scores }] }\n"
        (Path(folder) / "all.yaml").write_text(text, encoding="utf-8")
        printed = engine("-q", "run", "all.yaml", cwd=folder)
        report = Path(folder) / printed.strip().splitlines()[-1]
        return next(csv.reader(io.StringIO((report.parent / "results.csv").read_text(encoding="utf-8"))))


def store():
    kinds = next(fields for _, name, _, fields in structs("cache/src/kind.rs") if name == "Kind")
    layout, journal = module_doc("cache/src/store.rs"), module_doc("cache/src/store/journal.rs")
    layout = re.sub(r", see `[\w:/.]+`| \(`disk`, `names`\)", "", layout)
    parts = [
        "What lies in the folder `.engine`, or wherever `--store` and `ENGINE_STORE` say. A folder ending in `-v1` changes its name\n"
        "if its form changes, so another engine never misreads it. A store may be copied, moved and shared between studies.\n",
        layout.split("\n", 1)[1].strip() + "\n",
        "## Objects\n",
        "A table is Parquet, a model safetensors; pandas, polars, DuckDB and PyTorch open them. Arrays are one column of\n"
        "fixed-size lists; their shape, the kind and facts such as the sample rate stand in the file's metadata under `engine`.\n"
        "The name is the digest (BLAKE3) of the logical content: kind, facts, columns and values, not of the bytes of the file.\n"
        "`engine cache path RUN STEP.PORT` prints where an output lies.\n",
        "## Kinds\n",
        table(["kind", "content"], [[f"`{a}`", cell(d)] for a, _, d in kinds]),
        "## The journal\n", journal.split("\n", 1)[1].strip() + "\n",
    ]
    return page("Store", "`cache/src/store.rs`, `store/journal.rs` and `kind.rs`", *parts)


def events():
    doc = module_doc("engine/src/ui/console/json.rs")
    parts = [
        "`engine run PIPELINE --log-format json` writes one JSON object a line to standard error, for programs that watch a run.\n"
        "Every event has `v` (the version of this form), `event` and `time`.\n",
        doc.split("\n", 1)[1].strip() + "\n",
        "The Python package passes them to `engine_runs.run(..., on_event=...)`.\n",
    ]
    return page("Events", "`engine/src/ui/console/json.rs`", *parts)


def pages():
    schema = json.loads(engine("schema"))
    return {
        "ops.md": ops(schema),
        "metrics.md": metrics(schema),
        "pipeline.md": pipeline(schema),
        "figures.md": figures(schema),
        "sweeps.md": sweeps(schema),
        "cli.md": cli(),
        "record.md": record(),
        "store.md": store(),
        "events.md": events(),
    }


def main():
    made = pages()
    if "--check" in sys.argv[1:]:
        there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
        differ = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
        if differ:
            sys.exit(f"docs/reference is out of date ({', '.join(differ)}): python3 scripts/reference.py")
        print(f"docs/reference: {len(made)} pages are those of the engine")
        return
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (PAGES / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} pages to {PAGES}")


main()
