"""The words of the house as frozen records: what is stored, nothing of how. Standard library only."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, NamedTuple

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict of those. The task says which, and checks it."""

Status = Literal["pending", "accepted", "rejected", "undecided", "withdrawn"]
Verdict = Literal["accept", "reject", "amend", "undecided", "reopen"]
State = Literal["declared", "running", "paused", "stopped", "decided"]
Mode = Literal["assigned", "side_by_side"]
Side = Literal["left", "right"]
Choice = Literal["left", "right", "both", "neither"]

CHAMPION = "champion"
"""Name of the variant that serves whoever is in no experiment, and of an experiment's control."""


def now() -> datetime:
    """Return the present as naive UTC, as the log stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_id(prefix: str) -> str:
    """Return a fresh identifier such as `p_9f...`: 96 random bits behind one letter that says what it names."""
    return f"{prefix}_{secrets.token_hex(12)}"


def keyed_id(prefix: str, *parts: str) -> str:
    """Return the identifier that a retry with the same parts (contributor, Idempotency-Key) gets again."""
    digest = sha256("\x1f".join(parts).encode()).hexdigest()
    return f"{prefix}_{digest[:24]}"


def normalised(text: str) -> str:
    """Return the text as it is compared for sameness: NFKC, case-folded, white space folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_of(value: Json) -> str:
    """Return the words in an input: the string itself, or the strings inside it, in order."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(text_of(value[key]) for key in sorted(value))
    if isinstance(value, (list, tuple)):
        return "\n".join(text_of(item) for item in value)
    return "" if value is None else str(value)


def input_hash(value: Json) -> str:
    """Return the name of an input up to case and white space: 32 hex digits. Equal inputs share it."""
    return sha256(normalised(text_of(value)).encode()).hexdigest()[:32]


def bucket_of(hash_: str) -> float:
    """Return the place in [0, 1) of an input's hash: decides train, gate and test for good."""
    return int(hash_[:8], 16) / 2**32


class Answer(NamedTuple):
    """What a model says about one input: `output` as the task defines it, `confidence` in 0..1 for the whole."""

    output: Json
    confidence: float
    notes: tuple[str, ...] = ()  # words-catalogue codes that concern the reader, e.g. "note.unknown_script"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is asking, as the edge found out; `staff` is a name where a token or login proved it."""

    contributor: str
    staff: str | None = None
    channel: str = ""
    language: str = ""
    device: str = ""
    network: str = ""  # salted hash of the network prefix, never the address
    forced_variant: str | None = None
    fresh: bool = False  # the request brought no valid cookie


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: a model version with a share of the traffic (0..1) and serving settings (threshold, temperature)."""

    name: str
    version: int
    share: float
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that may not get worse by `margin` (> 0, in the metric's unit) or more, whatever the primary metric says."""

    metric: str
    margin: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """One numbered version of an experiment. The first variant is the control. A change is a new number.

    `mode` assigned: each user gets one variant; side_by_side: each user sees two blind answers and votes.
    `coverage` (0..1) is how much of the traffic takes part; the rest gets the champion and does not count.
    """

    name: str
    number: int
    state: State
    variants: tuple[Variant, ...]
    primary_metric: str = "correction_rate"
    rule: Literal["horizon", "always_valid"] = "horizon"
    n_max: int = 2000  # users in all arms at which the horizon rule ends
    alpha: float = 0.05
    salt: str = ""
    hypothesis: str = ""
    author: str = ""
    reason: str = ""
    created: datetime = field(default_factory=now)
    mode: Mode = "assigned"
    guardrails: tuple[Guardrail, ...] = ()
    segments: tuple[str, ...] = ("channel", "language", "device")
    covariate: str = ""  # of outcomes.COVARIATES, for CUPED; none where empty
    coverage: float = 1.0
    definition: str = ""  # of the primary metric, as it was when the experiment was declared
    winner: str = ""  # the variant that was kept, once it is decided

    @property
    def control(self) -> Variant:
        """Return the first variant: what everybody gets when the experiment is paused."""
        return self.variants[0]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A contributor met a variant for the first time in this experiment. Stored before the answer is shown."""

    experiment: str
    experiment_number: int
    contributor: str
    variant: str
    version: int
    propensity: float
    channel: str = ""
    language: str = ""
    device: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer that one contributor was shown. `experiment` is empty outside of one, and for forced variants.

    `forced`: the variant was not assigned, but asked for by staff, or one of a pair.
    """

    id: str
    contributor: str
    experiment: str
    experiment_number: int
    variant: str
    version: int
    input: Json
    input_hash: str
    output: Json
    confidence: float
    latency_ms: float
    forced: bool = False
    channel: str = ""
    network: str = ""
    created: datetime = field(default_factory=now)
    notes: tuple[str, ...] = ()  # told to the reader, not stored


@dataclass(frozen=True, slots=True)
class Correction:
    """What a contributor says the answer should be. `confirmation` is true where all that it says is in the answer shown."""

    id: str
    prediction_id: str
    contributor: str
    output: Json
    confirmation: bool
    comment: str = ""
    created: datetime = field(default_factory=now)
    edits: float | None = None  # marks added, removed or changed against the answer shown; None where nobody counted


@dataclass(frozen=True, slots=True)
class Pair:
    """Two predictions of one input, shown to one contributor side by side without their variants' names."""

    id: str
    contributor: str
    experiment: str
    experiment_number: int
    left_prediction: str
    right_prediction: str
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Vote:
    """Which answer of a pair its contributor prefers; one a pair."""

    pair_id: str
    contributor: str
    choice: Choice
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Review:
    """A verdict on a correction, by a named person or by a policy (`policy:agreement`). `reopen` takes a person's verdict back.

    `probability` (0..1): with which a policy holds what it accepted for right; None for people, and where a policy has none.
    """

    id: str
    correction_id: str
    verdict: Verdict
    output: Json | None
    reviewer: str
    reason: str = ""
    created: datetime = field(default_factory=now)
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Trap:
    """An item of known truth, to learn how far a contributor can be believed. The newest row of an input counts."""

    input_hash: str
    input: Json
    output: Json
    source: Literal["gold", "unanimous"]  # the owner's, or promoted from unanimous agreement
    author: str
    active: bool = True
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Asked:
    """Why a prediction was made whose text its contributor did not write: for a second opinion, or as a trap."""

    prediction_id: str
    contributor: str
    kind: Literal["opinion", "trap"]
    input_hash: str
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Block:
    """A contributor is believed no more, or again. The newest row of a contributor counts."""

    contributor: str
    blocked: bool
    author: str
    reason: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Erasure:
    """Something was erased: how many rows, and which versions had learned from them. It names no contributor and no text."""

    id: str
    author: str  # "contributor" for themselves, else a member of staff or "policy:retention"
    rows: int
    versions: tuple[int, ...]
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A contributor takes a correction back; it counts no more, anywhere."""

    correction_id: str
    contributor: str
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The champion pointer moved to `version`; the last one counts."""

    id: str
    version: int
    previous: int | None
    kind: Literal["first", "promote", "rollback"]
    author: str
    reason: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One state of one retraining; a later row with the same id replaces an earlier one in the views."""

    id: str
    state: Literal["started", "passed", "refused", "undecided", "cancelled", "failed", "interrupted"]
    snapshot: str
    examples: int
    version: int | None
    trigger: str  # "count", "schedule", "button", "command"
    author: str
    detail: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Use:
    """An accepted correction went into the training of a version: lineage, both ways."""

    correction_id: str
    version: int
    snapshot: str
    part: Literal["train", "gate"]
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Example:
    """An input with the output that is believed right. `weight` is the probability that it is (0..1)."""

    input: Json
    output: Json
    weight: float = 1.0
    correction_id: str = ""
    contributor: str = ""
    input_hash: str = ""
    confirmation: bool = False


class Finding(NamedTuple):
    """A topic of the feed has more items than usual (volume), or more of one sentiment among its items (share).

    `seen` items came in [since, raised), where `expected` were usual; kind share: of `items` of the topic in all. `evidence` reached
    `threshold` (analysis/watch.py). `version` answered last. Times are naive UTC.
    """

    kind: Literal["volume", "share"]
    topic: str
    sentiment: str
    since: datetime
    raised: datetime
    seen: int
    items: int
    expected: float
    evidence: float
    threshold: float
    version: int


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One text that a feed brought, and the prediction that answers it. `created` is when it came in, `published` when it came out."""

    id: str
    prediction_id: str
    source: str
    published: datetime
    link: str = ""
    created: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """A Finding that was new, as it is kept. A later row with the same id and state acknowledged says who has seen it, and their note."""

    id: str
    state: Literal["raised", "acknowledged"]
    kind: Literal["volume", "share"]
    topic: str
    sentiment: str
    since: datetime
    raised: datetime
    seen: int
    items: int
    expected: float
    evidence: float
    threshold: float
    version: int
    author: str = ""
    reason: str = ""
    created: datetime = field(default_factory=now)


Record = (
    Exposure
    | Prediction
    | Correction
    | Pair
    | Vote
    | Trap
    | Asked
    | Block
    | Erasure
    | Review
    | Withdrawal
    | Experiment
    | Promotion
    | TrainingRun
    | Use
    | FeedItem
    | EarlyWarning
)
