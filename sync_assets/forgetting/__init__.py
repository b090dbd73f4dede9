"""Forgetting: all that is kept of documents or of a tenant is erased everywhere, and every place searched again.

What belongs here: the places, in their order. Each is idempotent, so that a second call finishes what broke off. What
does not: the list of what is to stay away afterwards (`ledger/forgotten.py`), and systems upstream, which stay as they
are.
"""

import dagster as dg

from sync_assets.forgetting.files import documents_in_files, files_of_tenant
from sync_assets.forgetting.graph import documents_in_graph, tenant_in_graph
from sync_assets.forgetting.history import partitions, previews, runs_in_progress
from sync_assets.forgetting.place import Documents, Outcome, Place, erase
from sync_assets.forgetting.rows import (
    attachments,
    cached_texts,
    documents_in_ledger,
    keywords,
    support_database,
    tenant_in_ledger,
)
from sync_assets.forgetting.stores import documents_in_stores, tenant_in_stores
from sync_assets.services import Services

__all__ = ["Documents", "Outcome", "Place", "document_places", "erase", "runs_in_progress", "tenant_places", "traces"]


def document_places(services: Services, documents: Documents) -> list[Place]:
    """Where documents stand: vectors, graph, files, cache, ledger; but Dagster's history, see `traces`."""
    return [
        *documents_in_stores(services, documents),
        documents_in_graph(services, documents),
        # Found by the files, so before them; and the cache by what is left in files and ledger, so after them.
        keywords(services, documents),
        documents_in_files(services, documents),
        cached_texts(services, documents),
        attachments(services, documents),
        documents_in_ledger(services, documents),
    ]


def traces(instance: dg.DagsterInstance, documents: Documents) -> list[Place]:
    """What Dagster's history shows of documents."""
    return [previews(instance, documents.tenant, sorted(documents.records))]


def tenant_places(services: Services, instance: dg.DagsterInstance, tenant: str) -> list[Place]:
    """Everything of a tenant, its support database and its partitions too."""
    return [
        previews(instance, tenant),
        *tenant_in_stores(services, tenant),
        tenant_in_graph(services, tenant),
        files_of_tenant(services, tenant),
        support_database(services, tenant),
        tenant_in_ledger(services, tenant),
        partitions(instance, tenant),
    ]
