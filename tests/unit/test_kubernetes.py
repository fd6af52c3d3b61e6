"""deploy/kubernetes: valid by the API's schemas, and true of the code. No cluster is asked."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stream_app.app import FORCED_AFTER_S, REACH_TIMEOUT_S
from stream_app.cli import COMMANDS
from stream_app.kafka.strimzi import as_yaml, kafka_topics
from stream_app.kafka.topics import load_topics
from stream_app.settings import Settings, load_settings
from tests.broker.rights import rights

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
SCHEMAS = ROOT / "tests/schemas"
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
NO_RESOURCES = {FOLDER / "topics.yaml", *KUSTOMIZATIONS}
FILES = sorted({*FOLDER.rglob("*.yaml")} - NO_RESOURCES)

Resource = dict[str, Any]


def documents(path: Path) -> list[Resource]:
    return list(yaml.safe_load_all(path.read_text()))


RESOURCES = [each for path in FILES for each in documents(path)]
WORKLOADS = [each for each in RESOURCES if each["kind"] in ("StatefulSet", "Deployment")]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")


def named(kind: str, name: str) -> Resource:
    (found,) = [
        each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


WORKER = named("StatefulSet", "stream-app-worker")
PLANNED_SYMBOLS = 200
"""So many a worker, say the comments of worker.yaml."""
SCALED = named("ScaledObject", "stream-app-worker")["spec"]


def settings_env() -> dict[str, str]:
    lines = (FOLDER / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def pod(workload: Resource) -> Resource:
    found: Resource = workload["spec"]["template"]["spec"]
    return found


def containers(workload: Resource) -> list[Resource]:
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def by_name(workloads: list[Resource]) -> list[Any]:
    return [pytest.param(each, id=each["metadata"]["name"]) for each in workloads]


def validate(resource: Resource) -> None:
    """Raises where the API would refuse it, unknown fields included."""
    kubernetes = json.loads((SCHEMAS / "kubernetes-1.34.json").read_text())
    custom = json.loads((SCHEMAS / "custom-resources.json").read_text())
    if resource["kind"] in custom["definitions"]:
        schema, name = custom, resource["kind"]
    else:
        group, _, version = resource["apiVersion"].rpartition("/")
        wanted = {"group": group, "version": version, "kind": resource["kind"]}
        schema = kubernetes
        (name,) = [
            name
            for name, definition in kubernetes["definitions"].items()
            if wanted in definition.get("x-kubernetes-group-version-kind", ())
        ]
    jsonschema.Draft7Validator({**schema, "$ref": f"#/definitions/{name}"}).validate(resource)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_each_resource_is_what_the_api_wants(path: Path) -> None:
    found = documents(path)
    assert found
    for resource in found:
        validate(resource)


@pytest.mark.parametrize(
    ("kind", "name", "place", "wrong"),
    [
        (
            "StatefulSet",
            "stream-app-worker",
            ("spec", "template", "spec"),
            {"enableServiceLink": 0},
        ),
        ("StatefulSet", "stream-app-worker", ("spec",), {"replicas": "two"}),
        ("PodDisruptionBudget", "stream-app-worker", ("spec",), {"maxUnavaliable": 1}),
        ("ScaledObject", "stream-app-worker", ("spec",), {"minReplicas": 2}),
        ("KafkaUser", "stream-app-worker", ("spec", "authorization"), {"type": "acl"}),
        ("KafkaTopic", "market.ticks.v1", ("spec",), {"replication": 3}),
    ],
)
def test_what_the_api_would_refuse_is_refused_here(
    kind: str, name: str, place: tuple[str, ...], wrong: dict[str, Any]
) -> None:
    resource = json.loads(json.dumps(named(kind, name)))
    inner = resource
    for key in place:
        inner = inner[key]
    inner.update(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validate(resource)


def test_every_file_is_named_by_its_kustomization() -> None:
    listed = set(NO_RESOURCES - {FOLDER / "topics.yaml"})
    for path in KUSTOMIZATIONS:
        content = yaml.safe_load(path.read_text())
        named_here = [*content["resources"], *content.get("components", [])]
        for generator in content.get("configMapGenerator", []):
            named_here += [*generator.get("files", []), *generator.get("envs", [])]
        for name in named_here:
            file = path.parent / name
            assert file.exists(), file
            listed.add(file)
    assert {*FOLDER.rglob("*.yaml"), *FOLDER.rglob("*.env")} <= listed


@needs_kubectl
def test_kustomize_builds_what_the_api_wants() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    resources = list(yaml.safe_load_all(built.stdout))
    for resource in resources:
        validate(resource)
    assert {each["metadata"]["namespace"] for each in resources} == {"kafka"}
    names = {(each["kind"], each["metadata"]["name"]) for each in resources}
    for workload in resources:
        if workload["kind"] not in ("StatefulSet", "Deployment"):
            continue
        for volume in pod(workload)["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
        for container in containers(workload):
            assert container["image"] == "registry.example/stream-app:0.1.0"
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    assert ("ConfigMap", source["configMapRef"]["name"]) in names
    (worker,) = [each for each in resources if each["kind"] == "StatefulSet"]
    assert "replicas" not in worker["spec"], "an `apply` would undo what KEDA decided"
    for resource in resources:
        label = resource["metadata"].get("labels", {}).get("strimzi.io/cluster")
        assert (label == "main") == resource["kind"].startswith("Kafka")


def test_the_topics_are_the_repositorys_for_three_brokers() -> None:
    ours, here = load_topics(ROOT / "topics.yaml"), load_topics(FOLDER / "topics.yaml")
    assert here.services == ours.services
    assert here.specs == tuple(
        replace(spec, replication=3, configs={**spec.configs, "min.insync.replicas": "2"})
        for spec in ours.specs
    )


def test_strimzis_topics_are_those_that_the_export_writes() -> None:
    exported = as_yaml(kafka_topics(load_topics(FOLDER / "topics.yaml"), "main"))
    assert (FOLDER / "strimzi/topics.yaml").read_text() == exported


@pytest.mark.parametrize("service", ["worker", "drift", "dashboard", "feed"])
def test_rights_are_those_of_who_reads_and_writes_in_topics_yaml(service: str) -> None:
    topics = load_topics(ROOT / "topics.yaml")
    group = topics.services[service]
    wanted = {(name, "Write") for name in group.produces}
    wanted |= {(name, "Read") for name in group.consumes}
    if service != "feed":  # each compares the topics with topics.yaml
        wanted |= {(spec.name, "DescribeConfigs") for spec in topics.specs}
        # Read and Write contain Describe.
        neither = {spec.name for spec in topics.specs} - {*group.produces, *group.consumes}
        wanted |= {(name, "Describe") for name in neither}
    if service == "dashboard":  # the end of a partition that has no commit is read
        wanted |= {(topics.ticks.name, "Read")}
        wanted -= {(topics.ticks.name, "Describe")}
    mine = [each for each in rights() if each.user == f"stream-app-{service}"]
    assert {(each.name, each.operation) for each in mine if each.kind == "topic"} == wanted
    assert len(mine) == len(set(mine))


@pytest.mark.parametrize("workload", by_name(WORKLOADS))
def test_a_pods_variables_are_settings_that_the_code_takes(
    workload: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = pod(workload)["containers"]
    variables = settings_env() | {
        each["name"]: each.get("value", "from elsewhere") for each in container["env"]
    }
    known = {name.upper() for name in Settings.model_fields}
    assert variables.keys() - known <= {"XDG_CACHE_HOME"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    loaded = load_settings()
    assert loaded.kafka_security_protocol == "SASL_SSL"
    mounts = [Path(each["mountPath"]) for each in container["volumeMounts"]]
    folders = [loaded.topics_file.parent, Path(str(loaded.kafka_ssl_cafile)).parent]
    if container["args"] == ["worker"]:
        folders += [loaded.data_dir, Path(variables["XDG_CACHE_HOME"])]
    assert set(folders) <= set(mounts)
    secrets = [each["valueFrom"] for each in container["env"] if "valueFrom" in each]
    (password,) = [each["secretKeyRef"] for each in secrets if "secretKeyRef" in each]
    assert password["name"] == loaded.kafka_sasl_username
    assert named("KafkaUser", password["name"])


@pytest.mark.parametrize("workload", by_name(WORKLOADS))
def test_a_pod_may_do_nothing_that_it_does_not_need(workload: Resource) -> None:
    image = (ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"useradd --uid (\d+)", image)
    who = pod(workload)["securityContext"]
    assert who["runAsNonRoot"] is True
    assert who["runAsUser"] == who["runAsGroup"] == int(user)
    assert who["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["enableServiceLinks"] is False
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= container["resources"].keys()
        volumes = {each["name"] for each in pod(workload)["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert labels == workload["spec"]["selector"]["matchLabels"]
    (main,) = pod(workload)["containers"]
    assert main["args"][0] in COMMANDS


def patience_s(probe: Resource) -> int:
    """For how long a container may fail it."""
    patience: int = probe["periodSeconds"] * probe["failureThreshold"]
    return patience


def test_probes_ask_the_pages_that_there_are_and_are_patient() -> None:
    (worker,) = pod(WORKER)["containers"]
    default = Settings.model_fields
    assert worker["ports"] == [{"name": "web", "containerPort": default["web_port"].default}]
    served = (ROOT / "stream_app/web/server.py").read_text()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert worker[probe]["httpGet"]["port"] == "web"
        assert f'"{worker[probe]["httpGet"]["path"]}"' in served
    # Live answers through a restore. Ready does not, so nothing but readiness may ask for it.
    assert worker["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert worker["startupProbe"]["httpGet"]["path"] == "/health/live"
    live = worker["livenessProbe"]
    assert live["httpGet"]["path"] == "/health/live"
    assert patience_s(live) > 1.25 * default["watchdog_seconds"].default
    # One that finds no broker ends by itself and says why. Imports, compiling and busy nodes come
    # before that; docs/kubernetes.md says two minutes.
    assert patience_s(worker["startupProbe"]) == 120 > 4 * REACH_TIMEOUT_S
    assert pod(WORKER)["terminationGracePeriodSeconds"] >= 2 * FORCED_AFTER_S
    (dashboard,) = pod(named("Deployment", "stream-app-dashboard"))["containers"]
    assert dashboard["ports"][0]["containerPort"] == default["dashboard_port"].default


def test_memory_is_that_of_docs_operations() -> None:
    told = " ".join((ROOT / "docs/operations.md").read_text().split())
    found = re.search(
        r"about (\d+) MiB for the worker, 1 MiB more for each further symbol, and about (\d+) MiB",
        told,
    )
    assert found
    worker, training = map(int, found.groups())
    (container,) = pod(WORKER)["containers"]
    wanted = worker + training * int(settings_env()["RETRAIN_PROCESSES"]) + PLANNED_SYMBOLS
    assert container["resources"]["requests"]["memory"] == f"{wanted}Mi"
    assert "limits" in container["resources"]
    assert "cpu" not in container["resources"]["limits"]


def test_processors_are_those_of_docs_capacity() -> None:
    """One for the event loop, and what trains the symbols in four fifths of each hour."""
    told = (ROOT / "docs/capacity.md").read_text()
    found = re.search(r"so symbols a core and hour \| (\d+);", told)
    assert found
    training = PLANNED_SYMBOLS / (0.8 * int(found[1]))
    (container,) = pod(WORKER)["containers"]
    assert container["resources"]["requests"]["cpu"] == str(math.ceil(1 + training))


def test_a_lost_node_or_zone_takes_as_few_workers_as_it_can() -> None:
    spread = pod(WORKER)["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    for each in spread:
        assert each["maxSkew"] == 1
        # A worker that waits for a place answers nothing.
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_drain_takes_no_more_workers_than_stand_by_for_a_partition() -> None:
    budget = named("PodDisruptionBudget", "stream-app-worker")["spec"]
    standbys = int(settings_env().get("STANDBYS", Settings.model_fields["standbys"].default))
    assert budget["maxUnavailable"] == standbys == 1 < SCALED["minReplicaCount"]
    # One that cannot start does not hold up a node's drain.
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_services_budgets_and_policies_select_pods_that_there_are() -> None:
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in WORKLOADS]
    worker = WORKER["spec"]["selector"]
    assert named("PodDisruptionBudget", "stream-app-worker")["spec"]["selector"] == worker
    for spread in pod(WORKER)["topologySpreadConstraints"]:
        assert spread["labelSelector"] == worker
    for service in (each for each in RESOURCES if each["kind"] == "Service"):
        assert service["spec"]["selector"] in labels
        workload = named(
            "StatefulSet" if service["metadata"]["name"] == "stream-app-worker" else "Deployment",
            service["metadata"]["name"],
        )
        (container,) = pod(workload)["containers"]
        assert service["spec"]["ports"][0]["port"] == container["ports"][0]["containerPort"]
    assert (
        WORKER["spec"]["serviceName"] == named("Service", "stream-app-worker")["metadata"]["name"]
    )
    guarded = named("NetworkPolicy", "stream-app-others")["spec"]
    (chosen,) = guarded["podSelector"]["matchExpressions"]
    others = {next(iter(each.values())) for each in labels} - set(worker["matchLabels"].values())
    assert set(chosen["values"]) == others
    assert "ingress" not in guarded


def test_scaling_is_bound_by_partitions_and_slow_to_go_down() -> None:
    topics, env = load_topics(FOLDER / "topics.yaml"), settings_env()
    assert SCALED["scaleTargetRef"] == {
        "kind": WORKER["kind"],
        "name": WORKER["metadata"]["name"],
    }
    assert SCALED["maxReplicaCount"] == topics.ticks.partitions
    assert SCALED["minReplicaCount"] == WORKER["spec"]["replicas"] == 2
    assert SCALED["fallback"]["behavior"] == "currentReplicasIfHigher"
    behaviour = SCALED["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    down, up = behaviour["scaleDown"], behaviour["scaleUp"]
    assert down["stabilizationWindowSeconds"] >= 10 * up["stabilizationWindowSeconds"] > 0
    for rules in (down, up):
        assert [(each["type"], each["value"]) for each in rules["policies"]] == [("Pods", 1)]
    (trigger,) = SCALED["triggers"]
    asked = trigger["metadata"]
    assert asked["topic"] == topics.ticks.name
    assert asked["consumerGroup"] == env["CONSUMER_GROUP"]
    assert asked["bootstrapServers"] == env["KAFKA_BOOTSTRAP_SERVERS"]
    login = named("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
    given = {each["parameter"]: each for refs in login.values() for each in refs}
    assert given.keys() == {"username", "password", "ca"}
    user = named("ConfigMap", given["username"]["name"])["data"][given["username"]["key"]]
    assert named("KafkaUser", user)["metadata"]["name"] == given["password"]["name"]


def test_groups_in_the_rights_are_those_of_the_settings() -> None:
    group = settings_env()["CONSUMER_GROUP"]
    found = sorted(
        (each.user, each.name, each.operation) for each in rights() if each.kind == "group"
    )
    assert found == [
        ("stream-app-dashboard", group, "Describe"),
        ("stream-app-drift", f"{group}-drift", "Read"),
        ("stream-app-scaler", group, "Describe"),
        ("stream-app-worker", group, "Read"),  # contains Describe; nobody removes a group
    ]


def test_rights_are_for_single_topics_and_groups_and_the_scaler_sees_the_lag_alone() -> None:
    for user in (each for each in RESOURCES if each["kind"] == "KafkaUser"):
        for acl in user["spec"]["authorization"]["acls"]:
            assert acl.keys() == {"resource", "operations"}
            assert acl["resource"].keys() == {"type", "name"}, "a prefix would be more"
            assert acl["resource"]["type"] in ("topic", "group")
    ticks = load_topics(FOLDER / "topics.yaml").ticks.name
    mine = [each for each in rights() if each.user == "stream-app-scaler" and each.kind == "topic"]
    assert [(each.name, each.operation) for each in mine] == [(ticks, "Describe")]
