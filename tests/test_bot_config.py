"""The configuration: every key documented, unknown keys refused, secrets only from the environment."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from bot.config import Settings, load
from bot.errors import ConfigError

ROOT = Path(__file__).parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_shipped_file_holds_every_key_with_its_default_and_a_comment() -> None:
    text = (ROOT / "config.toml").read_text("utf-8")
    raw = tomllib.loads(text)
    defaults = Settings()
    for section in fields(Settings):
        values = getattr(defaults, section.name)
        assert is_dataclass(values)
        written = raw.get(section.name)
        assert written is not None, f"[{section.name}] is missing"
        for key in fields(values):
            if key.metadata.get("secret"):
                assert f"BIANMIN_{section.name}__{key.name}".upper() in text, f"{section.name}.{key.name} is not named"
                assert key.name not in written
                continue
            assert key.name in written, f"[{section.name}] {key.name} is missing"
            default = getattr(values, key.name)
            shown = written[key.name]
            assert shown == (
                str(default) if isinstance(default, Path) else list(default) if isinstance(default, tuple) else default
            )
        assert set(written) <= {f.name for f in fields(values)}
    block: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            block.append(line)
        elif not line.strip() or line.startswith("["):
            block = []
        else:
            assert block or "office" in text, f"no comment above: {line}"


def test_unknown_keys_and_sections_are_errors_that_name_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'prot'"):
        load(write(tmp_path, "[server]\nprot = 1\n"), {})
    with pytest.raises(ConfigError, match="unknown key 'sever'"):
        load(write(tmp_path, "[sever]\nport = 1\n"), {})
    with pytest.raises(ConfigError, match="BIANMIN_SERVER__PROT"):
        load(write(tmp_path, ""), {"BIANMIN_SERVER__PROT": "1"})


def test_a_secret_in_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BIANMIN_WECHAT__TOKEN"):
        load(write(tmp_path, '[wechat]\ntoken = "abc"\n'), {})


def test_the_environment_overrides_any_key(tmp_path: Path) -> None:
    settings = load(
        write(tmp_path, "[server]\nport = 9000\n"),
        {"BIANMIN_SERVER__PORT": "9001", "BIANMIN_DATA__FOLDER": "/srv/x", "BIANMIN_SERVER__TRUSTED_PROXIES": "a, b"},
    )
    assert settings.server.port == 9001
    assert settings.data.folder == Path("/srv/x")
    assert settings.server.trusted_proxies == ("a", "b")
    assert settings.database_url == "sqlite:////srv/x/bianmin.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nport = 'x'\n", "must be a int"),
        ("[server]\nport = 70000\n", "between 1 and 65535"),
        ("[index]\nengine = 'solr'\n", "'tantivy' or 'whoosh'"),
        ("[answers]\nanswer_at = 0.1\nchoices_at = 0.4\n", "choices_at <= answer_at"),
        ("[web]\nembed_origins = ['https://a.example/']\n", "no slash at the end"),
        ("[web]\nembed_origins = ['*']\n", "embed_origins holds origins"),
        ('[web]\ncors_origins = ["https://a.example; script-src *"]\n', "cors_origins holds origins"),
        ("[web]\nshare_days = 0\n", "between 1 and 3650"),
        ("[web]\nkiosk_reset_seconds = 5\n", "between 15 and 3600"),
        ("server = 3\n", "must be a section"),
        ("[server\n", "not valid TOML"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(write(tmp_path, text), {})


def test_wechat_secrets_must_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="43 characters"):
        load(write(tmp_path, ""), {"BIANMIN_WECHAT__AES_KEY": "short"})
    with pytest.raises(ConfigError, match="APP_ID is missing"):
        load(write(tmp_path, ""), {"BIANMIN_WECHAT__AES_KEY": "a" * 43})
    with pytest.raises(ConfigError, match="TOKEN is missing"):
        load(write(tmp_path, ""), {"BIANMIN_WECHAT__AES_KEY": "a" * 43, "BIANMIN_WECHAT__APP_ID": "wx"})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml", {})


def test_secrets_do_not_show_in_repr() -> None:
    settings = load(None, {"BIANMIN_WECHAT__TOKEN": "hush-hush"})
    assert "hush-hush" not in repr(settings)
