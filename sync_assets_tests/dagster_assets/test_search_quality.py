"""The asset that measures searches, as Dagster runs it: numbers over time, a plot, and a check of all tenants."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from sync_assets.definitions import build_defs
from sync_assets.partitions import GRAPH_TENANTS
from sync_assets.services import Services
from sync_assets_tests.dagster_assets.world import checks, materializations
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.search.corpus import Corpus, open_installation

KEY = dg.AssetKey(["search", "quality"])
QUESTIONS = 24


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("quality")
    (home / "tenants.yaml").write_text("tenants: {acme: {}, idle: {}}\n")
    with fresh_database(postgres_url) as url, open_installation(home, url) as services:
        yield services


def measured(
    services: Services, instance: dg.DagsterInstance, tenant: str, **config: bool
) -> dg.ExecuteInProcessResult:
    job = build_defs(services).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[KEY],
        partition_key=tenant,
        run_config={
            "ops": {"search__quality": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )


def test_quality_is_plotted_over_time_and_a_fall_is_an_error_until_it_is_mended(services: Services) -> None:
    corpus = Corpus(services, "acme")
    documents = [corpus.add(f"q{one}", f"trouble{one} thing{one}", stores=["pgvector"]) for one in range(QUESTIONS)]
    entries = [{"question": f"trouble{one}", "documents": [document]} for one, document in enumerate(documents)]
    (services.settings.home / "golden.yaml").write_text(json.dumps({"acme": entries}))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(GRAPH_TENANTS, ["acme", "idle", "gone"])
        first = measured(services, instance, "acme")
        told = materializations(first)["quality", "acme"]
        assert {name: told[f"pgvector_{name}"] for name in ("hybrid", "lexical")} == {"hybrid": 1.0, "lexical": 1.0}
        assert 0 < told["pgvector_dense"] <= 1
        assert told["questions"] == QUESTIONS
        assert f"| pgvector | {QUESTIONS} | lexical | 1.000 (1.000 to 1.000) |" in told["measures"]
        assert told["intervals"].startswith("![nDCG@10 by store and mode](data:image/png;base64,")
        assert checks(first)["quality", "as_good_as_before"].passed

        for one in range(QUESTIONS // 2):
            corpus.add(f"q{one}", "something else", stores=["pgvector"])
        second = measured(services, instance, "acme")
        assert materializations(second)["quality", "acme"]["pgvector_lexical"] == 0.5
        check = checks(second)["quality", "as_good_as_before"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        case = str(check.metadata["cases"].value).replace("\\", "")
        assert case.startswith("- acme: pgvector: nDCG@10 -0.")
        assert case.endswith(f"{QUESTIONS} questions")
        assert check.metadata["tenants"].value == "acme"

        nothing = measured(services, instance, "idle")
        assert materializations(nothing)["quality", "idle"]["questions"] == 0
        check = checks(nothing)["quality", "as_good_as_before"]
        assert (check.passed, check.metadata["tenants"].value) == (False, "acme"), "another tenant's run hides no fall"

        again = measured(services, instance, "acme")
        assert not checks(again)["quality", "as_good_as_before"].passed, "a fall is not what the next one is held to"

        for one in range(QUESTIONS // 2):
            corpus.add(f"q{one}", f"trouble{one} thing{one}", stores=["pgvector"])
        mended = measured(services, instance, "acme")
        assert checks(mended)["quality", "as_good_as_before"].passed


def test_a_fall_is_told_until_it_is_mended_or_accepted(services: Services) -> None:
    corpus = Corpus(services, "acme")
    documents = [corpus.add(f"f{one}", f"matter{one} thing{one}", stores=["pgvector"]) for one in range(QUESTIONS)]
    entries = [{"question": f"matter{one}", "documents": [document]} for one, document in enumerate(documents)]
    golden = services.settings.home / "golden.yaml"

    def asked(instance: dg.DagsterInstance, number: int, **config: bool) -> bool:
        """Whether a measurement by the first questions passes."""
        golden.write_text(json.dumps({"acme": entries[:number]}))
        return checks(measured(services, instance, "acme", **config))["quality", "as_good_as_before"].passed

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(GRAPH_TENANTS, ["acme"])
        assert asked(instance, QUESTIONS)
        for one in range(QUESTIONS // 2):
            corpus.add(f"f{one}", "something else", stores=["pgvector"])
        assert not asked(instance, QUESTIONS)
        assert not asked(instance, 19), "too few to tell of anything new"
        assert not asked(instance, 0), "no store holds an answer"
        assert not asked(instance, QUESTIONS), "it is not what is held to that was measured meanwhile"
        assert asked(instance, QUESTIONS, accept=True)
        assert asked(instance, QUESTIONS)
        for one in range(QUESTIONS // 2, QUESTIONS):
            corpus.add(f"f{one}", "something else", stores=["pgvector"])
        assert not asked(instance, QUESTIONS), "what was accepted is what the next one is held to"


def test_the_schedule_measures_each_tenant_that_there_is(services: Services, tmp_path: Path) -> None:
    repository = build_defs(services).get_repository_def()
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance:
        instance.add_dynamic_partitions(GRAPH_TENANTS, ["acme", "idle", "gone"])
        with dg.build_schedule_context(
            instance=instance,
            resources={"services": services},
            repository_def=repository,
            scheduled_execution_time=datetime.now(UTC),
        ) as context:
            asked = repository.get_schedule_def("search_quality").evaluate_tick(context)
    assert [request.partition_key for request in asked.run_requests or []] == ["acme", "idle"]
