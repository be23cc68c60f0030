"""``python -m bot`` is the command ``bianmin``."""

from bot.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
