"""Which projects of a Backlog space are synced, which can't be read, and when what is not found is gone.

What belongs here: what the list of projects says about the settings. What does not: requests (`backlog_web.py`).
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

from sync_assets.sources.backlog_records import item_id_of, project_id_of
from sync_assets.sources.backlog_web import DOCUMENT, WIKI, Kind, Project


@dataclass(frozen=True)
class Projects:
    """The projects of the space, as they are now.

    Attributes:
        readable: those that the user has joined, by id, archived ones too.
        chosen: those of them that are synced.
        lost: keys of those that are named in the settings and not readable.
        named: whether the settings name projects.
        setting: where the account is configured, for remedies.
        trash: ids of the documents in the trash of a project, by its id.
    """

    readable: dict[int, Project]
    chosen: list[Project]
    lost: list[str]
    named: bool
    setting: str
    trash: Callable[[int], Set[str]]

    @classmethod
    def of(
        cls,
        readable: Sequence[Project],
        named: Sequence[str] | None,
        setting: str,
        trash: Callable[[int], Set[str]],
    ) -> Self:
        """Those that are named are chosen, or all that are not archived."""
        keys = {project.projectKey for project in readable}
        return cls(
            readable={project.id: project for project in readable},
            chosen=[
                project for project in readable if (project.projectKey in named if named else not project.archived)
            ],
            lost=[key for key in named or [] if key not in keys],
            named=bool(named),
            setting=setting,
            trash=trash,
        )

    def has_in_trash(self, kind: Kind, row: Any) -> bool:
        """Whether a row is a document that was thrown away, which Backlog may go on to show."""
        project_id = project_id_of(row)
        return kind is DOCUMENT and project_id in self.readable and item_id_of(kind, row) in self.trash(project_id)

    def show_all(self, kind: Kind) -> bool:
        """Whether every record that may be synced can be seen, so that one that is not found is gone.

        Without names nobody can tell which projects the user had joined before.
        """
        return self.named and not self.lost and all(has(kind, project) for project in self.chosen)

    def loss(self, key: str) -> str:
        return (
            f"project {key} can't be read: let the owner of {self.setting}.api_key join it, or take it out of "
            f"{self.setting}.projects to remove what is stored of it"
        )

    def doubt(self, kind: Kind) -> str:
        """Why a record that is not found may still live."""
        if self.lost:
            return f"it may be of a project that can't be read: {self.loss(self.lost[0])}"
        if self.named:
            off = ", ".join(project.projectKey for project in self.chosen if not has(kind, project))
            return (
                f"it may be of a project whose wikis are switched off: switch them on in {off}, or take {off} out of "
                f"{self.setting}.projects to remove what is stored of it"
            )
        return (
            f"Backlog does not show this {kind.name}, and no project that can be read tells of its deletion: its "
            f"project may be lost to the owner of {self.setting}.api_key. Name the projects to sync in "
            f"{self.setting}.projects; what is not found in them is then deleted"
        )


def has(kind: Kind, project: Project) -> bool:
    """Whether a project has this feature; of issues and documents nothing says that they are switched off."""
    return kind is not WIKI or project.useWiki is not False
