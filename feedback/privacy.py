"""What people are told of their data, from the demo's settings. `python -m feedback.privacy` is in privacy_commands.py."""

from __future__ import annotations

from feedback.demo import PrivacySettings
from feedback.words import Say


def notice(settings: PrivacySettings, say: Say, *, second_opinions: bool = False) -> list[str]:
    """Return the sentences under a demo's own notice: what is stored and for how long, who sees it, what is done to identifiers,
    and how to erase."""
    sentences = [say("privacy.stored")]
    if second_opinions:
        sentences.append(say("privacy.shown"))
    if not settings.keep_days:
        sentences.append(say("privacy.kept"))
    else:
        kept = "privacy.kept_days_accepted" if settings.keep_accepted else "privacy.kept_days"
        sentences.append(say(kept, count=settings.keep_days))
    if settings.identifiers != "keep":
        sentences.append(say(f"privacy.{settings.identifiers}"))
    return [*sentences, say("privacy.how")]


if __name__ == "__main__":
    from feedback.privacy_commands import main

    raise SystemExit(main())
