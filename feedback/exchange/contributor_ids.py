"""How an annotator of a file is named as a contributor. It stores nothing."""

from __future__ import annotations

import re
from hashlib import sha256

PREFIX = "import:"


def namespace(source: str) -> str:
    """Return what the contributors of a source begin with: `import:` and ten hex digits of its name's hash."""
    return f"{PREFIX}{sha256(source.encode()).hexdigest()[:10]}:"


def annotator_name(annotator: str) -> str:
    """Return an annotator as part of a contributor's id: plain names as they are, others (an e-mail, say) as a hash.

    All annotations without a name are one contributor: nobody knows that they are several.
    """
    if re.fullmatch(r"[A-Za-z0-9_.:-]{1,60}", annotator):
        return annotator
    return f"h{sha256(annotator.encode()).hexdigest()[:16]}" if annotator else "-"
