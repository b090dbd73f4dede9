"""Who may do what in a Discord server's channels, by the rules that Discord describes for its permissions.

What belongs here: pure functions of what the server sends about itself, as its documentation has them
(discord.com/developers/docs/topics/permissions). A thread has its parent channel's permissions.
"""

from collections.abc import Iterable, Mapping
from enum import IntFlag
from functools import reduce
from operator import or_
from typing import Annotated, Literal, NamedTuple

from pydantic import StringConstraints

from sync_assets.sources.payloads import Payload


class Permission(IntFlag):
    """The permissions that reading asks for; all others are of no interest here."""

    ADMINISTRATOR = 1 << 3
    VIEW_CHANNEL = 1 << 10
    READ_MESSAGE_HISTORY = 1 << 16
    MANAGE_THREADS = 1 << 34


Bits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,30}$")]

_ALL = reduce(or_, Permission).value
_ROLE, _MEMBER = 0, 1


class Overwrite(Payload):
    """What a channel allows or denies to one role or member, whatever the role's own permissions."""

    id: str
    type: Literal[0, 1]
    allow: Bits
    deny: Bits


class RoleTags(Payload):
    """Whose role it is; with `bot_id` that bot has it, and nobody else."""

    bot_id: str | None = None


class Role(Payload):
    """A role of the server. The one with the server's own id is @everyone, and every member has it."""

    id: str
    name: str
    permissions: Bits
    tags: RoleTags = RoleTags()


class Member(NamedTuple):
    """Whose permissions are asked for; without a user id, anybody with these roles."""

    user_id: str
    role_ids: frozenset[str]


class Permissions:
    """The permissions in one server.

    Args:
        roles: all of them, by id.
    """

    def __init__(self, guild_id: str, owner_id: str, roles: Mapping[str, Role]) -> None:
        self._guild_id = guild_id
        self._owner_id = owner_id
        self._roles = roles

    def of(self, member: Member, overwrites: Iterable[Overwrite]) -> Permission:
        """What a member may do in a channel with these overwrites."""
        if member.user_id == self._owner_id:
            return Permission(_ALL)
        held = {self._guild_id, *member.role_ids}
        allowed = reduce(or_, (int(role.permissions) for role_id, role in self._roles.items() if role_id in held), 0)
        if allowed & Permission.ADMINISTRATOR:
            return Permission(_ALL)
        everyone = [one for one in overwrites if one.type == _ROLE and one.id == self._guild_id]
        by_role = [one for one in overwrites if one.type == _ROLE and one.id in member.role_ids]
        own = [one for one in overwrites if one.type == _MEMBER and one.id == member.user_id]
        for group in (everyone, by_role, own):
            allowed &= ~reduce(or_, (int(one.deny) for one in group), 0)
            allowed |= reduce(or_, (int(one.allow) for one in group), 0)
        return Permission(allowed & _ALL)

    def open_to_all(self, bot: Member, overwrites: Iterable[Overwrite]) -> bool:
        """Whether all members see a channel: those without any role, and those with one that has an overwrite too.

        Args:
            bot: ourselves; what is denied to bots keeps nobody out.
        """
        overwrites = list(overwrites)
        bots = {role.tags.bot_id: role_id for role_id, role in self._roles.items() if role.tags.bot_id}
        aside = {bot.user_id, *bots, *bots.values()}
        members = [Member("", frozenset())]
        members += [
            Member("", frozenset({one.id})) if one.type == _ROLE else Member(one.id, frozenset())
            for one in overwrites
            if one.id not in aside and (one.type == _MEMBER or one.id in self._roles)
        ]
        return all(Permission.VIEW_CHANNEL in self.of(member, overwrites) for member in members)

    def viewers(self, overwrites: Iterable[Overwrite]) -> list[str]:
        """The principals that see a channel which not all see: `role:<id>` and `user:<id>`, sorted.

        @everyone is never among them, since an exception from it can't be told by principals: where all but a few may
        view a channel, a member without any role does not find what it holds. Nor can a denial to one who also has
        another role: that member is among those of the role that may view it.
        """
        overwrites = list(overwrites)
        roles = [
            f"role:{role_id}"
            for role_id in self._roles
            if role_id != self._guild_id
            if Permission.VIEW_CHANNEL in self.of(Member("", frozenset({role_id})), overwrites)
        ]
        users = [
            f"user:{one.id}" for one in overwrites if one.type == _MEMBER and int(one.allow) & Permission.VIEW_CHANNEL
        ]
        return sorted({*roles, *users, f"user:{self._owner_id}"})
