"""What the documents say of the code is true of the code."""

from __future__ import annotations

import ast
import json
import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stream_app.bars.features import FEATURE_NAMES
from stream_app.cli import COMMANDS
from stream_app.messages.ticks import REASONS
from stream_app.ops.metrics import TABLE
from stream_app.ops.watchdog import EXIT_CODE
from stream_app.settings import Settings
from tests.documents import anchors

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for glob in ("*", "docs/**/*", "benchmarks/*", "examples/*", "tests/*/*")
    for path in ROOT.glob(f"{glob}.md")
)
ROOMS = sorted(
    f"{path.parent.relative_to(ROOT).as_posix()}/" for path in ROOT.glob("stream_app/*/__init__.py")
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


def section(name: str, heading: str) -> str:
    """What stands under a heading of a document, up to the next of its rank."""
    _, _, rest = text(name).partition(f"\n## {heading}\n")
    assert rest, heading
    return rest.partition("\n## ")[0]


def first_sentence(package: str) -> str:
    docstring = ast.get_docstring(ast.parse(text(f"{package}__init__.py")))
    assert docstring, package
    return re.split(r"\.(?:\s|$)", docstring, maxsplit=1)[0].replace("\n", " ")


def test_the_map_is_the_tree_with_each_packages_own_first_sentence() -> None:
    told = [line for line in text("ARCHITECTURE.md").splitlines() if line.startswith("| `stream_a")]
    assert len(ROOMS) > 15
    assert told == [f"| `{room}` | {first_sentence(room)} |" for room in ROOMS]


def test_only_what_belongs_to_no_room_stands_at_the_root() -> None:
    modules = {path.stem for path in ROOT.glob("stream_app/*.py")} - {"__init__"}
    assert modules == {
        "__main__",
        "app",
        "cli",
        "clock",
        "code_cache",
        "compiled",
        "errors",
        "settings",
    }


def test_the_picture_of_the_rooms_is_what_make_check_enforces() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    picture = blocks("ARCHITECTURE.md", "mermaid")[0]
    assert re.findall(r'(L\d+)\["(.+?)"\]', picture) == [
        (f"L{number}", layer) for number, layer in enumerate(layers, start=1)
    ]
    assert [f"L{number} --> L{number + 1}" for number in range(1, len(layers))] == [
        f"{above} --> {below}"
        for above, below in re.findall(r'(L\d+)(?:\["[^"]+"\])? --> (L\d+)', picture)
    ]


def test_the_folders_of_the_tests_are_told() -> None:
    told = re.findall(r"^\| `(tests/\w+/)` \|", section("ARCHITECTURE.md", "Tests"), flags=re.M)
    folders = [path.parent.relative_to(ROOT) for path in ROOT.glob("tests/*/__init__.py")]
    assert sorted(told) == sorted(f"{folder.as_posix()}/" for folder in folders)


def test_the_map_names_nothing_that_is_not_there() -> None:
    named = set(
        re.findall(r"`((?:stream_app|tests|tools|docs)/[\w./-]*)`", text("ARCHITECTURE.md"))
    )
    assert len(named) > len(ROOMS) + 20
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_what_to_change_where_is_one_short_table() -> None:
    table = section("ARCHITECTURE.md", "I want to change X: go to Y").strip().splitlines()[2:]
    assert 10 <= len(table) <= 20
    for line in table:
        wish, place, tests = line[2:-2].split(" | ")
        assert wish
        assert "/" in place or "CONTRIBUTING.md" in place, wish
        assert re.fullmatch(r"`tests/[\w/.]+`(, `tests/[\w/.]+`)*", tests), wish


@pytest.mark.parametrize(
    ("wish", "names", "file"),
    [
        ("bounds of a price", ["MIN_PRICE", "MAX_PRICE"], "messages/ticks.py"),
        ("how late a tick may be", ["grace_seconds"], "settings.py"),
        ("how late a tick may be", ["OpenBars.is_late"], "bars/open_bars.py"),
        ("the forest's depth", ["DEPTH"], "models/random_forest.py"),
        ("what a prediction message holds", ["Prediction"], "messages/schemas.py"),
        ("when a retrain is due", ["RetrainSchedule"], "training/schedule.py"),
        ("the headers of a dead letter", ["letter_of"], "dead_letters/letter.py"),
        ("the exit codes", ["StreamAppError"], "errors.py"),
        ("the exit codes", ["EXIT_CODE"], "ops/watchdog.py"),
    ],
)
def test_the_place_of_a_change_is_found(wish: str, names: list[str], file: str) -> None:
    """That the names are in the files is held by the test of all names below."""
    found = [row for row in rows("ARCHITECTURE.md") if len(row) == 3 and wish in row[0]]
    assert len(found) == 1
    place = re.search(rf"((?:`[\w.]+`(?:, | and )?)+) (?:is )?in `stream_app/{file}`", found[0][1])
    assert place is not None, found[0][1]
    assert set(names) <= set(re.findall(r"`([\w.]+)`", place[1]))


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


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    page, tool = text("docs/metrics.md"), runpy.run_path(str(ROOT / "tools/metrics_table.py"))
    assert tool["page_with_table"](page) == page, "run tools/metrics_table.py"
    for item in TABLE:
        assert page.count(f"| `{item.name}` |") == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids(DOCUMENTS))
def test_every_metric_that_is_named_is_there(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # it names those of before, too
    known = {item.name for item in TABLE}
    for name in re.findall(r"\bstream_app_[a-z_]+", document.read_text(encoding="utf-8")):
        assert re.sub(r"_(bucket|count|sum)$", "", name) in known, name


def test_the_changelog_says_how_a_renamed_metric_is_called_now() -> None:
    known = {item.name for item in TABLE}
    renamed = [row for row in rows("CHANGELOG.md") if row[0].startswith("`stream_app_")]
    assert len(renamed) >= 5
    for before, after in renamed:
        assert before.strip("`").split("{")[0] not in known or before != after
        for name in re.findall(r"stream_app_[a-z_]+", after):
            assert re.sub(r"_(bucket|count|sum)$", "", name) in known, name


def test_every_reason_is_told() -> None:
    told = {row[0].strip("`") for row in rows("docs/operations.md")}
    assert set(REASONS) - told == set()
    for reason in REASONS:
        assert f"`{reason}`" in text("README.md")


FEWEST_CHARACTERS = 12
"""That a log format and what is told of it must share beside the placeholders."""


def log_texts() -> list[str]:
    """The constants of the code with a space in them: messages, or their formats."""
    return sorted(
        {
            node.value
            for module in ROOT.glob("stream_app/**/*.py")
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        }
    )


def begins_like(told: str, written: str) -> bool:
    """Whether some beginning of a log format, with its placeholders filled in, is this text."""
    parts = re.split(r"%[-+.0-9]*[a-z]", written)
    for at in range(1, len(parts)):
        for cut in range(len(parts[at]) + 1):
            literals = [*parts[:at], parts[at][:cut]]
            if len("".join(literals)) >= FEWEST_CHARACTERS and re.fullmatch(
                r"\S.*?".join(map(re.escape, literals)), told
            ):
                return True
    return False


def test_every_log_line_that_is_told_is_in_the_code() -> None:
    lines = [
        line
        for line in section("docs/operations.md", "The log").splitlines()
        if line.startswith("| `")
    ]
    told = [text for line in lines for text in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(told) > 15
    written = log_texts()
    assert [
        line
        for line in told
        if not any(line in text or begins_like(line, text) for text in written)
    ] == []


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


@pytest.mark.parametrize("words", ["to be had", "whence", "gets on", "so tried", "gives way"])
def test_the_usual_word_is_used(words: str) -> None:
    code = [
        path for folder in ("stream_app", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (*DOCUMENTS, *code)
        if re.search(rf"\b{words}\b", path.read_text(encoding="utf-8"))
    ]
    assert found == []


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
            assert anchor in anchors(found), target


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


def test_the_make_targets_that_are_named_exist_and_the_contributors_page_names_all() -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.M))
    assert set(re.findall(r"`make ([a-z]+)`", text("CONTRIBUTING.md"))) == targets
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
