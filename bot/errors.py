"""The named errors of the front door; the tree is drawn in :mod:`bot`."""

from __future__ import annotations


class BotError(Exception):
    """Any error of this room. ``str(error)`` is one English line that says what to do next."""


class ConfigError(BotError):
    """config.toml or the environment is wrong."""


class PortInUse(BotError):
    """The address of ``serve`` is taken."""


class SignatureRejected(BotError):
    """A callback that cannot prove where it comes from."""


class MalformedMessage(BotError):
    """A callback from the right sender that is not in the channel's form (400)."""


class DatabaseUnusable(BotError):
    """The database cannot be opened or was written by a newer program."""


class WeChatRefused(BotError):
    """WeChat's API answered with an error code; ``code`` is its ``errcode``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class WeChatUnreachable(BotError):
    """WeChat's API did not answer, or not in its own form."""
