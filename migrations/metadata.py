"""All tables of the house, for Alembic's comparison of what is with what should be."""

from __future__ import annotations

from bot.channels.mailbox_store import metadata as mailbox_tables
from bot.channels.wechat_store import metadata as wechat_tables
from knowledge.tables import metadata as library_tables
from register.tables import metadata as register_tables

TARGET = [register_tables, library_tables, wechat_tables, mailbox_tables]
