"""What the documents say of the code is true of the code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stream_app.bars.features import FEATURE_NAMES
from stream_app.cli import COMMANDS
from stream_app.messages.ticks import REASONS
from stream_app.ops import metrics
from stream_app.ops.watchdog import EXIT_CODE
from stream_app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for glob in ("*", "docs/**/*", "benchmarks/*", "examples/*")
    for path in ROOT.glob(f"{glob}.md")
)
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.glob("stream_app/**/*.py")
    if path.name != "__init__.py"
)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def ids(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), flags=re.M | re.S)


def rows(name: str) -> Iterator[list[str]]:
    """The cells of every table row of a document."""
    for line in text(name).splitlines():
        if line.startswith("| ") and line.endswith(" |"):
            yield [cell.strip() for cell in line[1:-1].split(" | ")]


@pytest.mark.parametrize("module", MODULES)
def test_the_map_names_every_module(module: str) -> None:
    assert any(row[0] == f"`{module}`" for row in rows("ARCHITECTURE.md"))


def test_the_map_names_nothing_that_is_not_there() -> None:
    named = set(
        re.findall(r"`((?:stream_app|tests|tools|docs)/[\w./-]*)`", text("ARCHITECTURE.md"))
    )
    assert len(named) > len(MODULES)
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_names_of_the_map_are_in_the_code() -> None:
    """Of `NAME` in `FILE`: what a table of ARCHITECTURE.md tells to change."""
    pairs = re.findall(
        r"((?:`[\w.]+`(?:, | and )?)+) in `(stream_app/[\w/]+\.py)`", text("ARCHITECTURE.md")
    )
    assert len(pairs) > 5
    for names, file in pairs:
        code = text(file)
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names):
            assert re.search(rf"^\s*(class |def |async def )?{name}\b", code, flags=re.M), (
                name,
                file,
            )


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_told_with_its_default(name: str) -> None:
    told = [row for row in rows("docs/settings.md") if row[0] == f"`{name.upper()}`"]
    assert len(told) == 1
    _, shown, allowed, meaning = told[0]
    default: Any = Settings.model_fields[name].default
    if isinstance(default, tuple):
        default = list(default)
    if default is None:
        assert shown == "none"
    elif isinstance(default, str | Path):
        assert shown == f"`{default}`"
    else:
        assert json.loads(shown.strip("`")) == default
    assert allowed
    assert meaning


def test_no_setting_is_told_that_is_none() -> None:
    told = {row[0].strip("`").lower() for row in rows("docs/settings.md")} - {"name", "---"}
    assert told == set(Settings.model_fields)


def test_every_metric_is_told_with_its_type() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("docs/operations.md") if len(row) == 4}
    ours = {
        metric.name + ("_total" if metric.type == "counter" else ""): metric.type
        for metric in metrics.REGISTRY.collect()
    }
    assert len(ours) >= 12
    assert {name: kind for name, kind in told.items() if name.startswith("stream_app_")} == ours


def test_every_reason_is_told() -> None:
    told = {row[0].strip("`") for row in rows("docs/operations.md")}
    assert set(REASONS) - told == set()
    for reason in REASONS:
        assert f"`{reason}`" in text("README.md")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert any(row[0].startswith(f"`stream-app {command}") for row in rows("README.md"))


def test_exactly_the_features_are_told() -> None:
    told = []
    for row in rows("docs/models.md"):
        first, *others = re.findall(r"`([a-z0-9_]+)`", row[0]) or [""]
        told += [first, *(first.rpartition("_")[0] + n if n[0] == "_" else n for n in others)]
    assert [name for name in told if name in FEATURE_NAMES] == list(FEATURE_NAMES)
    assert f"{len(FEATURE_NAMES)} numbers a tick" in text("docs/models.md")


def test_every_decision_is_short_complete_and_listed() -> None:
    index = text("docs/decisions/README.md")
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    assert len(pages) >= 10
    for page in pages:
        content = page.read_text(encoding="utf-8")
        assert f"]({page.name})" in index
        assert len(content.splitlines()) <= 40, page.name
        headings = re.findall(r"^## (\w+)", content, flags=re.M)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], page.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids(DOCUMENTS))
def test_every_link_leads_somewhere(document: Path) -> None:
    content = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        if anchor:
            assert anchor in _anchors(found), target


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids(DOCUMENTS))
def test_every_test_that_is_named_is_there(document: Path) -> None:
    content = document.read_text(encoding="utf-8")
    for file in re.findall(r"tests/[\w/]+\.py", content):
        assert (ROOT / file).is_file(), file
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", content):
        tree = ast.parse(text(file))
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, f"{file}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids(DOCUMENTS))
def test_diagrams_are_not_empty(document: Path) -> None:
    for diagram in blocks(document.relative_to(ROOT).as_posix(), "mermaid"):
        first, *rest = diagram.strip().splitlines()
        assert first.split()[0] in {"flowchart", "sequenceDiagram", "stateDiagram-v2"}
        assert len(rest) >= 3


def test_the_ways_are_shown_as_diagrams() -> None:
    assert len(blocks("ARCHITECTURE.md", "mermaid")) >= 3
    assert len(blocks("README.md", "mermaid")) >= 1


def test_the_readmes_messages_keep_their_contracts() -> None:
    kinds = {"members": "prediction", "cycle": "retrain-event", "price": "tick"}
    shown = []
    for block in blocks("README.md", "json"):
        message = json.loads(block)
        kind = next(kind for key, kind in kinds.items() if key in message)
        schema = json.loads(text(f"docs/contracts/{kind}.schema.json"))
        jsonschema.validate(message, schema)
        shown.append(kind)
    assert shown == ["tick", "prediction", "retrain-event"]


def test_the_readmes_commands_stand_at_its_top() -> None:
    top = "\n".join(text("README.md").splitlines()[:25])
    assert "make run" in top
    assert "make test" in top


def test_the_watchdogs_exit_code_is_told() -> None:
    told = [row for row in rows("docs/operations.md") if row[0] == str(EXIT_CODE)]
    assert len(told) == 1
    assert "watchdog" in told[0][1]


def test_there_is_one_place_for_the_figures_of_the_fault_tests() -> None:
    begin, end = re.findall(r"<!-- figures: \w+ -->", text("tools/chaos.py"))
    before, _, after = text("docs/reliability.md").partition(begin)
    assert before
    assert begin not in after
    assert after.count(end) == 1


def test_the_make_targets_that_are_named_exist_and_the_readme_names_all() -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.M))
    assert set(re.findall(r"`make ([a-z]+)`", text("README.md"))) == targets
    for document in DOCUMENTS:
        named = re.findall(r"`make ([a-z]+)\b", document.read_text(encoding="utf-8"))
        assert set(named) <= targets, document.name


def test_every_example_is_listed_and_says_what_it_shows_how_to_run_it_and_what_to_change() -> None:
    examples = sorted(path.name for path in ROOT.glob("examples/*.py"))
    listed = re.findall(r"^\| \[([\w.]+)\]\(\1\) \|", text("examples/README.md"), flags=re.M)
    assert sorted(listed) == examples
    for name in examples:
        told = ast.get_docstring(ast.parse(text(f"examples/{name}"))) or ""
        headings = re.findall(r"^(\w.*)$", told, flags=re.M)[1:]
        assert headings == ["What it shows", "How to run it", "What to change"], name
        assert f"python examples/{name}" in told
