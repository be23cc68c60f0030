"""配置: ``config.toml`` and the environment → frozen dataclasses.

Every key of the file is a field here and the other way round (a test holds both). Unknown keys are errors.
``BIANMIN_<SECTION>__<KEY>`` overrides any key. Fields marked as secrets come only from the environment: a
secret found in the file is an error, so that a repository or a backup never holds one.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from bot.errors import ConfigError

PREFIX = "BIANMIN_"


def _secret() -> Any:
    return field(default="", metadata={"secret": True}, repr=False)


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Where everything that changes is kept."""

    folder: Path = Path("data")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The one shared state; empty ``url`` means SQLite in the data folder."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Which engine finds candidates."""

    engine: str = "tantivy"
    semantic: bool = True


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The web server of ``bianmin serve``."""

    host: str = "127.0.0.1"
    port: int = 8000
    base_url: str = "http://127.0.0.1:8000"
    threads: int = 4
    processes: int = 2
    body_limit: int = 65536
    asks_per_minute: int = 30
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebSettings:
    """网站: where the citizen's pages may be shown, how long a shared answer lives, the kiosk."""

    embed_origins: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    share_days: int = 30
    kiosk_reset_seconds: int = 60


@dataclass(frozen=True, slots=True)
class OfficeSettings:
    """The office that answers, as citizens read it."""

    name: str = "青禾县人民政府办公室"
    county: str = "青禾县"
    assistant: str = "青禾便民答复助手"
    address: str = "青禾县禾丰路1号县政府大楼一楼政务公开办"
    phone: str = "0999-5550101"
    hours: str = "工作日 8:30—12:00，14:30—18:00"
    email: str = "zwgk@qinghe.example"
    hotline: str = "12345"
    apply_url: str = "/p/zhinan"
    handover_days: int = 2
    notice: str = "演示站点：青禾县为虚构县，全部内容均为演示，不是真实政策。"


@dataclass(frozen=True, slots=True)
class AnswersSettings:
    """When the assistant answers, asks back or says that nothing was found (probabilities 0..1)."""

    answer_at: float = 0.55
    choices_at: float = 0.4
    family_at: float = 0.5
    family_share: float = 0.45
    quote_characters: int = 150
    templates: str = ""
    lexicon: str = ""
    matters: str = ""
    sensitive_words: str = ""


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How long a question back stays open."""

    expires_minutes: int = 30


@dataclass(frozen=True, slots=True)
class WeChatSettings:
    """微信公众号. The channel is on as soon as a token is set."""

    reply_bytes: int = 1900
    replay_minutes: int = 10
    answer_within_seconds: float = 4.5
    api_base: str = "https://api.weixin.qq.com"
    menu: tuple[str, ...] = (
        "常问/养老保险缴费 = 城乡居民养老保险怎么缴费",
        "常问/医保怎么报销 = 医保怎么报销",
        "常问/申请低保 = 怎么申请低保",
        "指南/使用帮助 = 菜单",
        "指南/查办理进度 = 查办理进度",
        "指南/转人工 = 人工",
    )
    policy_template: str = ""
    policy_fields: tuple[str, ...] = ("thing1=title", "thing2=topic", "date3=date")
    progress_template: str = ""
    progress_fields: tuple[str, ...] = ("character_string1=case", "phrase2=state", "date3=date")
    long_term_templates: tuple[str, ...] = ()
    consent_url: str = ""
    token: str = _secret()
    aes_key: str = _secret()
    app_id: str = _secret()
    app_secret: str = _secret()


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    """Telegram. The channel is on as soon as a token is set; updates come by webhook or by ``bianmin telegram poll``."""

    api_base: str = "https://api.telegram.org"
    webhook: bool = True
    proxy: str = ""
    reply_bytes: int = 4096
    token: str = _secret()
    secret_token: str = _secret()


@dataclass(frozen=True, slots=True)
class MailAccountSettings:
    """一个信箱账户: where its mail is read and sent."""

    address: str = ""
    name: str = "青禾县县长信箱"
    imap_host: str = ""
    imap_port: int = 993
    imap_tls: str = "ssl"
    imap_user: str = ""
    folder: str = "INBOX"
    smtp_host: str = ""
    smtp_port: int = 465
    smtp_tls: str = "ssl"
    smtp_user: str = ""
    ca_file: str = ""
    auto_kinds: tuple[str, ...] = ("answer", "not_found", "not_held", "needs_creation", "unclear")
    imap_password: str = _secret()
    smtp_password: str = _secret()


@dataclass(frozen=True, slots=True)
class MailboxSettings(MailAccountSettings):
    """县长信箱. The first account stands here itself; the channel is on as soon as ``imap_host`` is set."""

    account: Mapping[str, MailAccountSettings] = field(default_factory=dict, hash=False)
    poll_seconds: int = 20
    first_look_days: int = 7
    thread_days: int = 30
    require_return_path: bool = True
    mail_limit_mb: int = 25
    attach_docx: bool = False
    caps: tuple[str, ...] = ("10/10", "15/30", "25/60", "50/180", "100/600")

    @property
    def accounts(self) -> dict[str, MailAccountSettings]:
        """Every account that is on, by name; the first one is called 「main」."""
        first = {"main": self} if self.imap_host else {}
        return {**first, **self.account}


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Tokens for partners."""

    token: str = _secret()


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """The county's website, for ``bianmin crawl``. Off until ``start_urls`` names a column."""

    start_urls: tuple[str, ...] = ()
    link_pattern: str = ""
    article_pattern: str = ""
    allowed_host: str = ""
    attribute: str = ""
    delay_seconds: float = 1.0
    max_pages: int = 2000
    recheck_days: int = 7


@dataclass(frozen=True, slots=True)
class RegisterSettings:
    """The register's own secrets."""

    encryption_key: str = _secret()
    lease_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an office can set. Built by :func:`load`."""

    data: DataSettings = DataSettings()
    database: DatabaseSettings = DatabaseSettings()
    index: IndexSettings = IndexSettings()
    server: ServerSettings = ServerSettings()
    web: WebSettings = WebSettings()
    office: OfficeSettings = OfficeSettings()
    answers: AnswersSettings = AnswersSettings()
    conversation: ConversationSettings = ConversationSettings()
    wechat: WeChatSettings = WeChatSettings()
    telegram: TelegramSettings = TelegramSettings()
    mailbox: MailboxSettings = MailboxSettings()
    api: ApiSettings = ApiSettings()
    register: RegisterSettings = RegisterSettings()
    crawl: CrawlSettings = CrawlSettings()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database in use."""
        return self.database.url or f"sqlite:///{self.data.folder / 'bianmin.db'}"


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration.

    ``path`` wins over ``BIANMIN_CONFIG``, which wins over ``config.toml`` in the working folder; a named file must
    exist, the default one may be absent. Raises :class:`ConfigError` naming the key.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ["BIANMIN_CONFIG"]) if environ.get("BIANMIN_CONFIG") else None)
    source = named or Path("config.toml")
    raw: dict[str, Any] = {}
    if source.exists():
        try:
            raw = tomllib.loads(source.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source} is not valid TOML: {error}") from error
    elif named:
        raise ConfigError(f"{source} does not exist; name an existing file with --config or BIANMIN_CONFIG")
    settings = _build(Settings, raw, environ, PREFIX, str(source))
    assert isinstance(settings, Settings)
    _check(settings, str(source))
    return settings


def _build(cls: type[Any], raw: dict[str, Any], environ: Mapping[str, str], prefix: str, where: str) -> Any:
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in raw:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'; known here: {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    inside: tuple[str, ...] = ()
    for name, spec in known.items():
        hint = hints[name]
        if is_dataclass(hint):
            section = raw.get(name, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{where}: [{name}] must be a section")
            assert isinstance(hint, type)
            values[name] = _build(hint, section, environ, f"{prefix}{name.upper()}__", f"{where} [{name}]")
            continue
        if get_origin(hint) is Mapping:
            # Named tables of one form, [section.name.x]: their environment is BIANMIN_<SECTION>__<X>_<KEY>.
            tables = raw.get(name, {})
            if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
                raise ConfigError(f"{where}: '{name}' must hold tables, one for each name")
            inner = get_args(hint)[1]
            values[name] = {
                key: _build(
                    inner, table, environ, f"{prefix}{_plain_name(key, known, where)}_", f"{where} [{name}.{key}]"
                )
                for key, table in tables.items()
            }
            inside += tuple(f"{prefix}{key.upper()}_" for key in tables)
            continue
        variable = f"{prefix}{name.upper()}"
        if spec.metadata.get("secret") and name in raw:
            raise ConfigError(f"{where}: '{name}' is a secret; remove it from the file and set {variable} instead")
        if variable in environ:
            values[name] = _from_text(environ[variable], hint, variable)
        elif name in raw:
            values[name] = _from_toml(raw[name], hint, f"{where}: '{name}'")
    known_here = {f"{prefix}{n.upper()}" for n in known}
    if cls is not Settings:
        for variable in environ:
            if (
                variable.startswith(prefix)
                and variable not in known_here
                and not variable.startswith(inside or ("\0",))
            ):
                raise ConfigError(f"environment variable {variable} names no key; see config.toml for all keys")
    return cls(**values)


def _plain_name(key: str, known: Mapping[str, Any], where: str) -> str:
    """A table's name as part of a variable: one word that no key of the section begins with."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,30}", key) or key == "main" or any(n.split("_")[0] == key for n in known):
        raise ConfigError(
            f"{where}: '{key}' cannot be the name of a table; use one word of a-z and 0-9 that no key has"
        )
    return key.upper()


def _from_text(text: str, hint: Any, name: str) -> Any:
    try:
        if hint is bool:
            lowered = text.strip().lower()
            if lowered not in ("true", "false", "1", "0"):
                raise ValueError(text)
            return lowered in ("true", "1")
        if hint in (int, float, str, Path):
            return hint(text)
        if get_origin(hint) is tuple:
            inner = get_args(hint)[0]
            return tuple(inner(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"{name}='{text}' is not a valid {getattr(hint, '__name__', hint)}") from error
    raise ConfigError(f"{name} cannot be set from the environment")


def _from_toml(value: Any, hint: Any, name: str) -> Any:
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if isinstance(value, list) and all(isinstance(item, inner) for item in value):
            return tuple(value)
        raise ConfigError(f"{name} must be a list of {inner.__name__}")
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{name} must be a {hint.__name__}, not {value!r}")


def _check(settings: Settings, where: str) -> None:
    if settings.index.engine not in ("tantivy", "whoosh"):
        raise ConfigError(f"{where} [index]: engine must be 'tantivy' or 'whoosh', not '{settings.index.engine}'")
    if not 0 < settings.server.port < 65536:
        raise ConfigError(f"{where} [server]: port must lie between 1 and 65535")
    if not 0 <= settings.server.processes <= 64:
        raise ConfigError(f"{where} [server]: processes must lie between 0 and 64")
    if not 0 <= settings.answers.choices_at <= settings.answers.answer_at <= 1:
        raise ConfigError(f"{where} [answers]: 0 <= choices_at <= answer_at <= 1 must hold")
    if not (0 <= settings.answers.family_at <= 1 and 0 <= settings.answers.family_share <= 1):
        raise ConfigError(f"{where} [answers]: family_at and family_share must lie between 0 and 1")
    _check_web(settings.web, where)
    _check_mailbox(settings.mailbox, where)
    _check_telegram(settings.telegram, where)
    if settings.crawl.attribute not in ("", "public"):
        raise ConfigError(f"{where} [crawl]: attribute must be empty or 'public' (法定主动公开内容)")
    if settings.crawl.delay_seconds < 0 or settings.crawl.max_pages < 1 or settings.crawl.recheck_days < 0:
        raise ConfigError(f"{where} [crawl]: delay_seconds and recheck_days must not be negative, max_pages at least 1")
    if settings.wechat.aes_key and len(settings.wechat.aes_key) != 43:
        raise ConfigError("BIANMIN_WECHAT__AES_KEY must have 43 characters (EncodingAESKey of the account's 基本配置)")
    if settings.wechat.aes_key and not settings.wechat.app_id:
        raise ConfigError(
            "BIANMIN_WECHAT__AES_KEY is set but BIANMIN_WECHAT__APP_ID is missing; set the account's AppID"
        )
    if settings.wechat.app_id and not settings.wechat.token:
        raise ConfigError("BIANMIN_WECHAT__APP_ID is set but BIANMIN_WECHAT__TOKEN is missing; set the callback token")


def _check_web(web: WebSettings, where: str) -> None:
    for key in ("embed_origins", "cors_origins"):
        for origin in getattr(web, key):
            # Anything else would be read by browsers as something else, or let a word slip into a header.
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", origin) and (key, origin) != (
                "cors_origins",
                "*",
            ):
                raise ConfigError(
                    f"{where} [web]: {key} holds origins like 'https://www.example.gov.cn' "
                    f"(no path, no slash at the end), not '{origin}'"
                )
    if not 1 <= web.share_days <= 3650:
        raise ConfigError(f"{where} [web]: share_days must lie between 1 and 3650")
    if not 15 <= web.kiosk_reset_seconds <= 3600:
        raise ConfigError(f"{where} [web]: kiosk_reset_seconds must lie between 15 and 3600")


def _check_telegram(telegram: TelegramSettings, where: str) -> None:
    if not re.match(r"https?://[^/]", telegram.api_base):
        raise ConfigError(f"{where} [telegram]: api_base must begin with https:// or http://")
    if not 400 <= telegram.reply_bytes <= 4096:
        raise ConfigError(f"{where} [telegram]: reply_bytes must lie between 400 and 4096")
    if telegram.secret_token and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", telegram.secret_token):
        raise ConfigError("BIANMIN_TELEGRAM__SECRET_TOKEN may hold only A-Z a-z 0-9 _ and -, at most 256 of them")


def _check_mailbox(mailbox: MailboxSettings, where: str) -> None:
    for name, account in mailbox.accounts.items():
        at = f"{where} [mailbox]" if name == "main" else f"{where} [mailbox.account.{name}]"
        for key in ("address", "imap_host", "smtp_host"):
            if not getattr(account, key):
                raise ConfigError(f"{at}: {key} is missing; an account needs address, imap_host and smtp_host")
        if not re.fullmatch(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+", account.address):
            raise ConfigError(f"{at}: address '{account.address}' is no mail address")
        for key in ("imap_tls", "smtp_tls"):
            if getattr(account, key) not in ("ssl", "starttls", "none"):
                raise ConfigError(f"{at}: {key} must be 'ssl', 'starttls' or 'none'")
        if account.ca_file and not Path(account.ca_file).is_file():
            raise ConfigError(f"{at}: ca_file '{account.ca_file}' is no file; name the PEM file of the servers' own CA")
        if not account.imap_password:
            prefix = f"{PREFIX}MAILBOX__" if name == "main" else f"{PREFIX}MAILBOX__{name.upper()}_"
            raise ConfigError(f"{at}: set the password in {prefix}IMAP_PASSWORD (and {prefix}SMTP_PASSWORD)")
    for cap in mailbox.caps:
        if not re.fullmatch(r"[1-9]\d{0,5}/[1-9]\d{0,5}", cap):
            raise ConfigError(f"{where} [mailbox]: caps look like '10/10' (letters/minutes), not '{cap}'")
    for key in ("poll_seconds", "mail_limit_mb", "thread_days"):
        if getattr(mailbox, key) < 1:
            raise ConfigError(f"{where} [mailbox]: {key} must be at least 1")
