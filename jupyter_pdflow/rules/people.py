"""People: who sends a request, who is one person, and who belongs to a group.

A person is one string, compared in lower case: the user name of an identity provider that knows
names, or an email address.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

GROUP = "group:"
"""The beginning of an approver that is a group."""


class Person(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who sends a request.

    Attributes
    ----------
    name : str or None
        A user name, or the address of a personal link; None if it is not known.
    verified : bool
        Whether the person is signed in with that name. A link only proves that one has it.
    groups : tuple of str
        The groups of the signed-in person, by an identity provider that knows them.
    """

    name: str | None = None
    verified: bool = False
    groups: tuple[str, ...] = ()


UNKNOWN = Person()


class Directory(Struct, frozen=True, kw_only=True):
    """What the operator says about people (``PDFlow.people``, ``PDFlow.groups``).

    Attributes
    ----------
    people : dict of str to str
        The address of a user name: both are one person.
    groups : dict of str to list of str
        The members of a group, as user names or addresses.
    """

    people: dict[str, str] = {}
    groups: dict[str, list[str]] = {}

    def key(self, name: str) -> str:
        """Return what is the same for all names of one person."""
        lowered = name.strip().lower()
        return self._addresses.get(lowered, lowered)

    def members(self, approver: str) -> list[str]:
        """Return the people that an approver stands for: of a group, its members."""
        if not is_group(approver):
            return [approver]
        return self._members.get(group_name(approver), [])

    def address(self, name: str) -> str | None:
        """Return the address of a person, or None if it is not known."""
        key = self.key(name)
        return key if "@" in key else None

    @property
    def _addresses(self) -> dict[str, str]:
        return {name.strip().lower(): to.strip().lower() for name, to in self.people.items()}

    @property
    def _members(self) -> dict[str, list[str]]:
        return {name.strip().lower(): members for name, members in self.groups.items()}


NO_DIRECTORY = Directory()


def is_group(approver: str) -> bool:
    """Return whether an approver is a group."""
    return approver.lower().startswith(GROUP)


def group_name(approver: str) -> str:
    """Return the name of the group that an approver is, in lower case."""
    return approver[len(GROUP) :].strip().lower()


def is_among(person: Person, approvers: Iterable[str], directory: Directory) -> bool:
    """Return whether a person is one of the approvers, or a member of a group among them."""
    if person.name is None:
        return False
    key = directory.key(person.name)
    groups = {group.strip().lower() for group in person.groups}
    return any(
        (is_group(approver) and group_name(approver) in groups)
        or key in map(directory.key, directory.members(approver))
        for approver in approvers
    )


def addresses_of(approvers: Iterable[str], directory: Directory) -> list[str]:
    """Return the addresses of approvers and of members of groups, each once."""
    people = [one for approver in approvers for one in directory.members(approver)]
    found = [directory.address(one) for one in people]
    return list(dict.fromkeys(address for address in found if address is not None))
