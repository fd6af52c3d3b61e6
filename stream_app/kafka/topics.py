"""Reads topics.yaml, the only place that names topics, and checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    with_config,
)

from stream_app.errors import TopicError

Role = Literal[
    "ticks",
    "bars",
    "predictions",
    "dead_letters",
    "scores",
    "retrain_events",
    "champions",
    "drift",
]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
CO_PARTITIONED: Final[tuple[Role, ...]] = ("ticks", "bars", "predictions", "dead_letters", "scores")
"""Results of ticks in partition p are written to partition p of these topics."""
_NO_OTHER_KEYS: Final = ConfigDict(extra="forbid")
_NAME_KEY: Final = "(name)"


def _legal_name(name: str) -> str:
    if name in {".", ".."} or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
        raise ValueError("allowed are up to 249 of A-Z a-z 0-9 . _ -")
    return name


def _config_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("allowed is text, a number, true or false")


def _named(topics: object) -> object:
    """Give each topic its own key as its name."""
    if not isinstance(topics, dict):
        return topics
    return {
        name: {**entry, _NAME_KEY: name} if isinstance(entry, dict) else entry
        for name, entry in topics.items()
    }


@with_config(_NO_OTHER_KEYS)
@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it should be."""

    name: Annotated[str, Field(validation_alias=_NAME_KEY)]
    """The topic's key in the file. A key `name` of its own would be unknown."""
    role: Role
    partitions: Annotated[StrictInt, Field(ge=1)]
    replication: Annotated[StrictInt, Field(ge=1, le=32_767)]
    configs: Mapping[str, Annotated[str, BeforeValidator(_config_value)]] = field(
        default_factory=dict
    )
    """As Kafka reports them: `true` and `7` are text."""


@with_config(_NO_OTHER_KEYS)
@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Which topics a service writes and reads, by name."""

    produces: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()


class _File(BaseModel):
    """The file as it is written."""

    model_config = _NO_OTHER_KEYS

    topics: Annotated[
        dict[Annotated[str, AfterValidator(_legal_name)], TopicSpec], BeforeValidator(_named)
    ]
    services: dict[str, Service]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """All topics by their role, and all services by name."""

    file: Path
    ticks: TopicSpec
    bars: TopicSpec
    predictions: TopicSpec
    dead_letters: TopicSpec
    scores: TopicSpec
    retrain_events: TopicSpec
    champions: TopicSpec
    drift: TopicSpec
    services: Mapping[str, Service]

    @property
    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic, in the order of the roles."""
        return tuple(getattr(self, role) for role in ROLES)


def load_topics(path: Path) -> Topics:
    """Read and validate topics.yaml. Blocks while it reads. Each command calls it once.

    A relative path is searched in the working directory and then in the checkout that contains
    this code, so that commands work in any directory.

    Raises:
        TopicError: one line that names the file, the key, the value and what is allowed.
    """
    beside_the_package = Path(__file__).parents[2] / path
    if not path.exists() and beside_the_package.is_file():
        path = beside_the_package
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TopicError(
            f"topics file {path}: {error.strerror or error}; searched from {Path.cwd()}; set "
            "TOPICS_FILE to the repository's topics.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicError(f"topics file {path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        given = _File.model_validate(content)
    except ValidationError as error:
        raise TopicError(f"topics file {path}: {_first_problem(error)}") from None
    by_role: dict[Role, TopicSpec] = {}
    for spec in given.topics.values():
        if spec.role in by_role:
            raise TopicError(
                f"topics file {path}: topics > {spec.name} > role={spec.role}: "
                f"{by_role[spec.role].name} already has it; allowed is one topic for each role"
            )
        by_role[spec.role] = spec
    if missing := [role for role in ROLES if role not in by_role]:
        raise TopicError(
            f"topics file {path}: topics: no topic has role={missing[0]}; each role needs one"
        )
    ticks = by_role["ticks"]
    for other in (by_role[role] for role in CO_PARTITIONED):
        if other.partitions != ticks.partitions:
            raise TopicError(
                f"topics file {path}: topics > {other.name} > partitions={other.partitions}: "
                f"allowed is {ticks.partitions}, as {ticks.name} has, because the results of a "
                "tick are written to the partition with the same number"
            )
    for service, uses in given.services.items():
        for name in (*uses.produces, *uses.consumes):
            if name not in given.topics:
                raise TopicError(
                    f"topics file {path}: services > {service}: {name} is not under topics; "
                    f"allowed are {', '.join(given.topics)}"
                )
    return Topics(file=path, **by_role, services=given.services)


def _first_problem(error: ValidationError) -> str:
    """The first problem, as `place=value: what is allowed`."""
    problem = error.errors(include_url=False)[0]
    *parents, last = problem["loc"] or ("",)
    place = " > ".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: missing"
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{place}: unknown key; allowed are {', '.join(_known_keys(parents))}"
    if last == "[key]":
        return f"{' > '.join(map(str, parents[:-1]))}: name {problem['input']!r}: {message}"
    return f"{place}={problem['input']!r}: {message}"


def _known_keys(parents: Sequence[int | str]) -> list[str]:
    """The keys that may stand at this place of the file."""
    if not parents:
        return list(_File.model_fields)
    shape = TopicSpec if parents[0] == "topics" else Service
    return [item.name for item in fields(shape) if item.name != "name"]
