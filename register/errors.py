"""The named errors of the register; the tree is drawn in :mod:`register`."""

from __future__ import annotations


class RegisterError(Exception):
    """Any error of this room. ``str(error)`` is one English line that says what to do next."""


class AlreadySettled(RegisterError):
    """The entry has its reply; the first one stands."""


class UnknownEntry(RegisterError):
    """No such entry."""


class CalendarUnknown(RegisterError):
    """The year lies beyond the loaded working-day data."""


class SealBroken(RegisterError):
    """Encrypted personal data cannot be opened with the configured key."""
