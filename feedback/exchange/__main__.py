"""`python -m feedback.exchange`: see feedback/exchange_commands.py."""

from feedback.exchange_commands import main

if __name__ == "__main__":
    raise SystemExit(main())
