"""The one entry point of the code location: everything in `defs/`, with the installation's services."""

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg

import sync_assets.defs
from sync_assets.automation.check_schedules import check_schedules
from sync_assets.automation.notifications import notifications
from sync_assets.checks.audit import audit_checks
from sync_assets.components import SourceSync
from sync_assets.io_managers.object_storage import ObjectStorageIOManager
from sync_assets.io_managers.postgres import PostgresIOManager
from sync_assets.partitions import describing_tags
from sync_assets.run_processes import claim
from sync_assets.services import Services
from sync_assets.stages import Stream

# Stages make many small objects that live as long as a page. By default Python looks through all objects so often that
# it takes a tenth of a run.
gc.set_threshold(50_000, 20, 20)


@dg.resource
def _services(context: dg.InitResourceContext) -> Iterator[Services]:
    if context.run is not None and context.instance is not None:
        # The executor below runs all steps in this process. With one that does not, this one ends before its run.
        claim(context.instance, context.run.run_id)
        context.instance.add_run_tags(context.run.run_id, describing_tags(context.instance, context.run))
    services = Services()
    try:
        yield services
    finally:
        services.close()


@dg.io_manager(required_resource_keys={"services"})
def _object_storage(context: dg.InitResourceContext) -> ObjectStorageIOManager:
    return ObjectStorageIOManager(context.resources.services)


@dg.io_manager(required_resource_keys={"services"})
def _documents(context: dg.InitResourceContext) -> PostgresIOManager:
    return PostgresIOManager(context.resources.services)


def build_defs(services: Services | None = None) -> dg.Definitions:
    """All definitions.

    Args:
        services: what the assets work with; default what the environment's settings name, opened by each run.
    """
    resources = {
        "services": _services if services is None else dg.ResourceDefinition.hardcoded_resource(services),
        "object_storage": _object_storage,
        "documents": _documents,
    }
    of_folder, audits = _of_folder()
    checks = [check for made in [*(of_folder.asset_checks or ()), audits] for check in made.check_keys]
    own = dg.Definitions(
        resources=resources,
        asset_checks=[audits],
        executor=dg.in_process_executor,
        schedules=check_schedules(checks),
        sensors=[notifications],
    )
    return dg.Definitions.merge(of_folder, own)


def streams() -> list[Stream]:
    """Every stream that `defs/` configures."""
    found = _tree().get_all_components(of_type=SourceSync)
    return [component.stream(name) for component in found for name in component.streams]


@cache
def _of_folder() -> tuple[dg.Definitions, dg.AssetChecksDefinition]:
    """What `defs/` configures, and the audits of all its stores; they hold no resource, hence nothing that is open."""
    return _tree().build_defs(), audit_checks(streams())


@cache
def _tree() -> dg.ComponentTree:
    # Not `load_from_defs_folder`: that one needs the checkout's pyproject.toml, which an installed package lacks.
    return dg.ComponentTree.from_module(sync_assets.defs, project_root=Path(__file__).parent.parent)


# A run asks for them several times; they hold nothing that is open.
_installed = cache(build_defs)


@dg.definitions
def defs() -> dg.Definitions:
    return _installed()
