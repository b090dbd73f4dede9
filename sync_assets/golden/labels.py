"""Questions that people write down: `golden.yaml`, beside the tenants file.

acme:
  - question: Why do faxes stop after the first page?
    documents: [acme_freshdesk_47, acme_freshdesk_article-12]
  - question: Who may approve a refund?
    documents: [acme_freshdesk_article-125]
    audience: internal            # default public
    principals: ["group:billing"]
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError, model_validator

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.golden import GoldenQuestion
from sync_assets.services import Services
from sync_assets.tenants import TenantName

FILE = "golden.yaml"
# A question, and no text that a model would read in part only.
LONGEST = 200


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]
    documents: list[str]
    audience: Literal[Visibility.PUBLIC, Visibility.INTERNAL] = Visibility.PUBLIC
    principals: list[str] = []

    @model_validator(mode="after")
    def _once(self) -> "_Entry":
        if len(set(self.documents)) < len(self.documents):
            raise ValueError("a document stands there twice")
        return self


_File = TypeAdapter(dict[TenantName, list[_Entry]])


def labels_path(services: Services) -> Path:
    """Where people write questions down; the file need not be there."""
    return services.settings.tenants_path.with_name(FILE)


def read_labels(services: Services, tenant: str) -> list[GoldenQuestion]:
    """The questions that people wrote down for a tenant, those without documents too; none where there is no file.

    Raises:
        SettingsError: naming file, place, what is wrong and what is allowed.
    """
    return [
        GoldenQuestion(
            tenant=tenant,
            text=entry.question,
            documents=tuple(entry.documents),
            visibility=entry.audience,
            principals=tuple(entry.principals),
            origin=FILE,
        )
        for entry in _entries(services).get(tenant, [])
    ]


def unknown_tenants(services: Services) -> list[str]:
    """Names in the file that are no tenants: mistyped ones, and those of tenants that went.

    Raises:
        SettingsError: see `read_labels`.
    """
    return sorted(_entries(services).keys() - set(services.tenants.names()))


def _entries(services: Services) -> dict[str, list[_Entry]]:
    path = labels_path(services)
    if not path.exists():
        return {}
    state = path.stat()
    return _parsed(path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=1)
def _parsed(path: Path, _state: tuple[int, int]) -> dict[str, list[_Entry]]:
    """What stands in the file in one state of it: each tenant is asked for by itself, and the file may be long."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise SettingsError(
            f"{path}, line {line}: not valid YAML.", "Quote texts that contain ': ' or begin with a sign."
        ) from None
    try:
        entries = _File.validate_python({} if content is None else content)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "top"
        raise SettingsError(f"{path}: {place}: {problem['msg']}.", "See the golden set in docs/search.md.") from None
    for tenant, found in entries.items():
        first: dict[str, int] = {}
        for number, entry in enumerate(found):
            if first.setdefault(entry.question, number) != number:
                raise SettingsError(
                    f"{path}: {tenant}.{number}: the question of {tenant}.{first[entry.question]} again.",
                    "Name all its documents in one entry.",
                )
    return entries
