"""What a record's own fields say of how things belong together: the entities they name, and the relations of these.

What belongs here: the words of the knowledge graph that sources and the graph share. What does not: how a source reads
its fields (`sources/`), and what texts say (`graph/`).
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from sync_assets.hashing import digest

# What an index of every database takes.
_LONGEST_ID, _KEPT = 200, 150


class NodeKind(StrEnum):
    """What a node of the graph stands for."""

    TICKET = "ticket"
    PERSON = "person"
    ORGANISATION = "organisation"
    DEPARTMENT = "department"
    CONFIGURATION_ITEM = "configuration_item"
    ARTICLE = "article"
    CATEGORY = "category"
    PRODUCT = "product"
    ERROR_CODE = "error_code"
    HOST = "host"
    VERSION = "version"
    LOCATION = "location"
    CHANNEL = "channel"
    PROJECT = "project"
    MERGE_REQUEST = "merge_request"
    COMMIT = "commit"


class EdgeKind(StrEnum):
    """How two nodes belong together, read from the first to the second."""

    CREATED_BY = "CREATED_BY"
    ASSIGNED_TO = "ASSIGNED_TO"
    AFFECTS = "AFFECTS"
    SIMILAR_TO = "SIMILAR_TO"
    RESOLVED_BY = "RESOLVED_BY"
    BELONGS_TO = "BELONGS_TO"
    LOCATED_AT = "LOCATED_AT"
    MENTIONS = "MENTIONS"
    DUPLICATE_OF = "DUPLICATE_OF"
    FIXES = "FIXES"
    DOCUMENTED_IN = "DOCUMENTED_IN"


class Entity(BaseModel):
    """Something that a record is about or names.

    Attributes:
        key: tells it from a tenant's other entities of its kind, and never changes: the document id of what is a
            document, `platform/id` of what a platform numbers, else its name in lower case.
        name: for people; empty where the record tells only the id.
        aliases: what texts call it beside its name, exact but for upper and lower case: numbers (`CI-2025-001`),
            addresses, and short forms (`#12`, `!3`), which count only in texts of the same `scope`.
        scope: where short forms are understood: the platform, or a project of it; empty for nowhere.
        facts: what tells it from others of its name, such as `email`, `phone`, `serial_number`; and what
            people want to see of it. A ticket's `state` is `open` or `resolved`, which a closed one is too; `url` is
            where people can open it.

    >>> Entity(kind=NodeKind.ERROR_CODE, key="0x80070005").node_id
    'error_code:0x80070005'
    """

    model_config = ConfigDict(frozen=True)

    kind: NodeKind
    key: str = Field(min_length=1)
    name: str = ""
    aliases: tuple[str, ...] = ()
    scope: str = ""
    facts: dict[str, str] = {}

    @property
    def node_id(self) -> str:
        """`kind:key`, at most 200 characters: the end of a longer one is a digest of the whole."""
        # To format an enumeration takes much longer than to add it, and this is asked for each row of evidence.
        whole = self.kind + ":" + self.key
        return whole if len(whole) <= _LONGEST_ID else f"{whole[:_KEPT]}~{digest(whole)}"


class Relation(BaseModel):
    """A relation that a field of a record tells.

    Attributes:
        source: where it begins; None for the entity that the record itself is.
        internal: customers must not know of it, though they may see the document.
    """

    model_config = ConfigDict(frozen=True)

    kind: EdgeKind
    target: Entity
    source: Entity | None = None
    internal: bool = False
