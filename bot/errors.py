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


class ThinkerDied(BotError):
    """A message ended two of the processes that look up answers."""


class WeChatRefused(BotError):
    """WeChat's API answered with an error code; ``code`` is its ``errcode``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class TelegramNotReady(BotError):
    """An update that cannot be understood before the Bot API has answered once; it has to come again."""


class TelegramRefused(BotError):
    """The Bot API did not answer, or refused."""


class WeChatUnreachable(BotError):
    """WeChat's API did not answer, or not in its own form."""


class UnreadableMail(BotError):
    """A mail that cannot be read; it is kept for a person."""


class MailServerProblem(BotError):
    """A mail server did not answer or refused; ``final`` means that trying again cannot help.

    ``server_is_well`` means that only this letter or its recipient was refused: others may follow at once.
    """

    def __init__(self, message: str, *, final: bool = False, code: int = 0, server_is_well: bool = False) -> None:
        super().__init__(message)
        self.final = final
        self.code = code
        self.server_is_well = server_is_well or final


class UnknownMail(BotError):
    """The mailbox holds no mail or draft of this number in this state."""
