"""The shape of topics.yaml, and what makes it acceptable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
)

from stream_app.errors import TopicError

Role = Literal["ticks", "bars", "predictions", "dead_letters", "retrain_events"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
CO_PARTITIONED: Final[tuple[Role, ...]] = ("ticks", "bars", "predictions", "dead_letters")
"""What follows from partition p of the ticks is written to partition p of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Which topics a service writes and reads, by name."""

    produces: tuple[str, ...]
    consumes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """All topics by their role, and all services by name."""

    file: Path
    ticks: TopicSpec
    bars: TopicSpec
    predictions: TopicSpec
    dead_letters: TopicSpec
    retrain_events: TopicSpec
    services: Mapping[str, Service]

    @property
    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic, in the order of the roles."""
        return (self.ticks, self.bars, self.predictions, self.dead_letters, self.retrain_events)


def load_topics(path: Path) -> Topics:
    """Read and validate topics.yaml. Blocks on the file. Called once by each command.

    A relative path is looked for in the working directory, then in the checkout that this code
    runs from, so that the command works from any directory.

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
            f"topics file {path}: {error.strerror or error}; looked for it from {Path.cwd()}; set "
            "TOPICS_FILE to the repository's topics.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicError(f"topics file {path}: not YAML: {' '.join(str(error).split())}") from None
    try:
        given = _File.model_validate(content)
    except ValidationError as error:
        raise TopicError(f"topics file {path}: {_first_problem(error)}") from None
    by_role: dict[Role, TopicSpec] = {}
    for name, entry in given.topics.items():
        if entry.role in by_role:
            raise TopicError(
                f"topics file {path}: topics > {name} > role={entry.role}: "
                f"{by_role[entry.role].name} has it already; allowed is one topic for each role"
            )
        by_role[entry.role] = TopicSpec(
            name=name,
            partitions=entry.partitions,
            replication=entry.replication,
            configs=entry.configs,
        )
    if missing := [role for role in ROLES if role not in by_role]:
        raise TopicError(
            f"topics file {path}: topics: none has role={missing[0]}; each role needs one"
        )
    ticks = by_role["ticks"]
    for other in (by_role[role] for role in CO_PARTITIONED):
        if other.partitions != ticks.partitions:
            raise TopicError(
                f"topics file {path}: topics > {other.name} > partitions={other.partitions}: "
                f"allowed is {ticks.partitions}, as {ticks.name} has, for what follows from a tick "
                "is written to the partition with the same number"
            )
    for service, uses in given.services.items():
        for name in (*uses.produces, *uses.consumes):
            if name not in given.topics:
                raise TopicError(
                    f"topics file {path}: services > {service}: {name} is not under topics; "
                    f"allowed are {', '.join(given.topics)}"
                )
    return Topics(
        file=path,
        **by_role,
        services={
            name: Service(produces=tuple(uses.produces), consumes=tuple(uses.consumes))
            for name, uses in given.services.items()
        },
    )


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Topic(_Strict):
    role: Role
    partitions: Annotated[StrictInt, Field(ge=1)]
    replication: Annotated[StrictInt, Field(ge=1, le=32_767)]
    configs: dict[str, Annotated[str, BeforeValidator(_config_value)]] = {}


class _Service(_Strict):
    produces: list[str] = []
    consumes: list[str] = []


class _File(_Strict):
    topics: dict[Annotated[str, AfterValidator(_legal_name)], _Topic]
    services: dict[str, _Service]


def _first_problem(error: ValidationError) -> str:
    """The first problem, as `place=value: what is allowed`."""
    problem = error.errors(include_url=False)[0]
    *parents, last = problem["loc"] or ("",)
    place = " > ".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{place}: missing"
    if problem["type"] == "extra_forbidden":
        model = _File if not parents else _Topic if parents[0] == "topics" else _Service
        return f"{place}: unknown key; allowed are {', '.join(model.model_fields)}"
    if last == "[key]":
        return f"{' > '.join(map(str, parents[:-1]))}: name {problem['input']!r}: {message}"
    return f"{place}={problem['input']!r}: {message}"
