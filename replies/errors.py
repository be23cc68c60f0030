"""The named errors of this room; the tree is drawn in :mod:`replies`."""

from __future__ import annotations


class ReplyError(Exception):
    """Any error of this room. ``str(error)`` is one English line that says what to do next."""


class TemplateMissing(ReplyError):
    """模板缺失: a kind of reply has no template, or a template is broken; names file and line."""


class RulesBroken(ReplyError):
    """规则有误: a rule file (triage, dialogue, sensitive words) cannot be used; names file and rule."""
