"""A demo as its TOML file declares it: parsed, checked, with defaults. It reads no data and starts nothing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from feedback.caps import CapRule
from feedback.declaring import checked
from feedback.errors import BadDemo, BadInput
from feedback.outcomes import SEGMENTS
from feedback.records import Experiment, Guardrail, Variant

_TWO = (Variant("control", 1, 0.5), Variant("challenger", 2, 0.5))  # stand-ins, to check the rest of a declaration


def _in_english(value: object) -> object:
    """A bare string is the English text."""
    return {"en": value} if isinstance(value, str) else value


Words = Annotated[dict[str, str], BeforeValidator(_in_english)]
"""The same sentence by language code; a bare string is English."""


class Settings(BaseModel):
    """Base of every table: read-only, strict about types, and a key that nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSettings(Settings):
    """Where seed examples come from. With `train` alone the file is split by a hash of each text."""

    train: str = ""
    validation: str = ""
    test: str = ""
    text_column: str = "text"
    label_column: str = "label"
    catalogue: str = Field("", description="what is answered out of: a .jsonl or .csv file, or a folder of documents")


class TrainingSettings(Settings):
    """How versions are trained. A retraining uses `retrain_rate` times the seed's `learning_rate`."""

    method: str = "full"
    epochs: int = Field(3, gt=0)
    batch_size: int = Field(16, gt=0)
    learning_rate: float = Field(3e-4, gt=0)
    retrain_rate: float = Field(0.6, gt=0)
    retrain_epochs: int = Field(3, gt=0)
    seed: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(0, ge=0, description="0: all cores the machine offers")
    lora_rank: int = Field(8, ge=1)
    lora_alpha: float = Field(16.0, gt=0, description="a lora adapter's change is scaled by lora_alpha / lora_rank")
    prompt_length: int = Field(20, ge=1, le=100, description="tokens that method prompt learns; texts lose as many places")
    augment: float = Field(0.0, ge=0, le=5, description="made-up training examples, as a share of the real ones; 0: none")
    freeze_embeddings: bool | None = Field(
        None,
        description="method full leaves the base's embeddings as they are; not given: yes, unless base = 'characters', whose know nothing yet",
    )


class Arm(Settings):
    """One variant of the first experiment: its own training method, or serving settings of the champion."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
    share: float = Field(ge=0, le=1)
    method: str = ""
    settings: dict[str, float] = Field(default_factory=dict)


class GuardrailSettings(Settings):
    """A metric that may not get worse by `margin` or more. Latency's margin is a natural logarithm: 0.1 is about 10 %."""

    metric: str
    margin: float = Field(gt=0)


class ExperimentSettings(Settings):
    """The first experiment, declared before the first exposure, and the defaults of those that follow."""

    name: str = Field("", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,59})?$")
    hypothesis: str = ""
    mode: Literal["assigned", "side_by_side"] = "assigned"
    primary_metric: str = "correction_rate"
    guardrails: tuple[GuardrailSettings, ...] = ()
    segments: tuple[str, ...] = SEGMENTS
    covariate: str = ""
    rule: Literal["horizon", "always_valid"] = "horizon"
    n_max: int = Field(2000, ge=2)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    coverage: float = Field(1.0, ge=0, le=1)
    challenger_share: float = Field(0.5, gt=0, lt=1)
    offer: Literal["automatic", "manual"] = "automatic"
    promote: Literal["manual", "automatic"] = "manual"
    arms: tuple[Arm, ...] = ()

    @model_validator(mode="after")
    def _arms_add_up(self) -> Self:
        if not self.arms:
            return self
        if not self.name:
            raise ValueError("name is missing, though the experiment has arms")
        if len(self.arms) < 2 or len({arm.name for arm in self.arms}) != len(self.arms):
            raise ValueError("arms needs at least two arms with different names")
        total = sum(arm.share for arm in self.arms)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the arms' shares must sum to 1, not {total:g}")
        return self

    @model_validator(mode="after")
    def _can_be_declared(self) -> Self:
        try:
            checked(Experiment("any", 1, "declared", _TWO, **self.declared()))
        except BadInput as error:
            raise ValueError(error.detail) from error
        return self

    def declared(self) -> dict[str, Any]:
        """Return what every experiment of this demo is declared with, as fields of an Experiment."""
        return {
            "mode": self.mode,
            "primary_metric": self.primary_metric,
            "guardrails": tuple(Guardrail(g.metric, g.margin) for g in self.guardrails),
            "segments": self.segments,
            "covariate": self.covariate,
            "rule": self.rule,
            "n_max": self.n_max,
            "alpha": self.alpha,
            "coverage": self.coverage,
        }


class AcceptanceSettings(Settings):
    """Whose corrections are believed. A reviewer always may; one unknown contributor never trains alone.

    agreement: `agree` different contributors who say the same. reliability: the same, weighed by how each did on trap
    items, so that what is accepted is right at least `precision` of the time there; without traps it is agreement.
    """

    policy: Literal["agreement", "reliability"] = "agreement"
    agree: int = Field(2, ge=2, description="one unknown contributor never trains alone")
    precision: float = Field(0.95, gt=0.5, lt=1)
    gold: str = Field("", description="a data file of items whose answers are known: the owner's traps")
    traps: float = Field(0.2, ge=0, le=0.9, description="share of the items asked about that are traps")
    second_opinions: bool = Field(True, description="show corrected texts to other visitors, for their opinion")
    cap_user: float = Field(0.05, gt=0, le=1, description="of a round's weight")
    cap_cohort: float = Field(0.1, gt=0, le=1, description="network prefix, channel, or first seen in the same hour")
    cap_label_pair: float = Field(0.25, gt=0, le=1, description="the same label changed into the same other")

    def caps(self) -> CapRule:
        """Return the caps on a round's weight."""
        return CapRule(self.cap_user, self.cap_cohort, self.cap_label_pair)


class RetrainingSettings(Settings):
    """When a retraining starts by itself; 0 turns a trigger off."""

    after_accepted: int = Field(50, ge=0)
    every_hours: float = Field(0.0, ge=0)
    at_least: int = Field(10, ge=1, description="newly accepted corrections without which a schedule waits")
    from_base_every: int = Field(
        5, ge=0, description="of so many retrainings one starts from the base instead of the champion; 0: none does"
    )
    lane_after_accepted: int = Field(
        0, ge=0, description="newly accepted corrections after which the fast lane learns them in seconds; 0: no fast lane"
    )


class TrackingSettings(Settings):
    """Where the settings and curves of training runs are written, besides the small table that the Models page plots."""

    event_files: bool = Field(True, description="TensorBoard's, in the home's folder `tracking`")
    services: tuple[Literal["wandb", "trackio"], ...] = ()
    project: str = Field("", description="the project's name at a service; empty: the demo's")


class SearchSettings(Settings):
    """Where the values in [training] come from: `python -m model.search` prints this table. It changes no training.

    `found`: the values that the search found, by key of [training]. `score`, `defaults`: mean main score (0..1) of these
    values and of the ones before on the same `items`, over `seeds` trainings each; `noise`: what the difference had to exceed.
    """

    method: str = ""
    found: dict[str, int | float] = Field(default_factory=dict)
    trials: int = Field(0, ge=0)
    pruned: int = Field(0, ge=0)
    items: int = Field(0, ge=0)
    seeds: int = Field(0, ge=0)
    score: float | None = None
    defaults: float | None = None
    noise: float | None = None
    made: str = ""


class LimitSettings(Settings):
    """Limits on size and rate; past them the answer is 413, 429 or 503."""

    max_chars: int = Field(2000, gt=0)
    max_comment_chars: int = Field(1000, gt=0)
    max_body_bytes: int = Field(262_144, gt=0)
    predictions_per_minute: int = Field(120, gt=0)
    corrections_per_minute: int = Field(120, gt=0)
    per_network_factor: int = Field(20, gt=0, description="a network prefix may do this many times what a contributor may")
    queue: int = Field(256, gt=0)


class ServingSettings(Settings):
    """How answers are computed. An engine that a version's drift test refuses is replaced by torch for it, and the Models page says so."""

    engine: Literal["torch", "onnx_int8"] = Field(
        "torch",
        description="onnx_int8: ONNX Runtime, the extra `onnx`; a version whose main score falls by over 0.5 points stays with torch",
    )
    threads: int = Field(0, ge=0, description="processor cores to answer with; 0: all")
    patience_seconds: float = Field(20.0, gt=0, description="a visitor who has waited so long is told to come again")


class PrivacySettings(Settings):
    """What is kept of people's texts, and for how long."""

    keep_days: int = Field(0, ge=0, description="texts older than this are removed; 0: never")
    keep_accepted: bool = Field(True, description="accepted examples keep their text all the same")
    identifiers: Literal["keep", "mask", "refuse"] = Field(
        "keep", description="e-mail addresses, telephone, card and identity numbers in what people write"
    )


class ServerSettings(Settings):
    """How the pages are reached. `trusted_proxies` (addresses or networks) may speak for a visitor's address, scheme and host."""

    embed: bool = False
    trusted_proxies: tuple[str, ...] = ("127.0.0.1",)
    origins: tuple[str, ...] = ()
    webhook: str = ""
    metrics_from: tuple[str, ...] = Field(
        ("127.0.0.1",), description="addresses or networks that may read /metrics without a token, unless a proxy speaks"
    )


class BackupSettings(Settings):
    """Verified copies of the log that the app makes by itself, beside the log; getting them off the machine is the owner's."""

    every_hours: float = Field(24.0, ge=0, description="0: none")
    keep: int = Field(7, ge=1, description="newest verified ones that are kept; those that a person asked for are not counted")


class FeedSettings(Settings):
    """Texts that come by themselves, answered by the champion and shown on the Monitor page: see feedback/feeds/."""

    enabled: bool = Field(False, description="a Monitor page, and POST /api/v1/feed; implied by sources")
    sources: tuple[str, ...] = Field(
        (),
        description="each a .jsonl or .csv file, a folder of .txt files, RSS or Atom in a file or at http(s)://; beside the TOML",
    )
    every_minutes: float = Field(5.0, gt=0)
    batch: int = Field(64, ge=1, le=1000, description="items answered and stored at once")
    most: int = Field(500, ge=1, le=5000, description="items a call of POST /api/v1/feed may bring")

    @model_validator(mode="before")
    @classmethod
    def _sources_enable(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("sources") and "enabled" not in value:
            return {**value, "enabled": True}
        return value


class WatchSettings(Settings):
    """When the feed warns: see analysis/watch.py. `topic` and `sentiment` name heads of a task that has several."""

    topic: str = Field("", description="the head whose volume is watched; empty: the first, or the only label")
    sentiment: str = Field("", description="the head whose share of a topic is watched; empty: the second, if any")
    false_warning_days: float = Field(30.0, ge=1, description="a false warning comes after so many days or later, on average")
    bin_minutes: Literal[15, 30, 60] = Field(60, description="how often it is judged")
    grace_minutes: float = Field(15.0, ge=0, description="items that come later than this after their bin ended are no news")
    memory_days: int = Field(28, ge=14, le=120)
    learn_days: int = Field(7, ge=7, description="days of items without which nothing is watched")
    notify: tuple[str, ...] = Field((), description="where warnings go besides, as apprise addresses them (extra `notify`)")


class Demo(Settings):
    """One demo: everything that its TOML says. `path` is the file; data paths are relative to it."""

    path: Path
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")
    task: str
    title: Words
    labels: tuple[str, ...] = ()
    label_names: dict[str, dict[str, str]] = Field(default_factory=dict, description="language -> label -> words shown")
    rename: dict[str, str] = Field(default_factory=dict, description="a checkpoint's or file's label -> ours; '' drops it")
    fallback_label: str = ""
    description: Words = Field(default_factory=dict)
    notice: Words = Field(default_factory=dict)
    placeholder: Words = Field(default_factory=dict)
    examples: tuple[str, ...] = ()
    model: str = ""
    base: str = "all-MiniLM-L6-v2"
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    experiment: ExperimentSettings = ExperimentSettings()
    acceptance: AcceptanceSettings = AcceptanceSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    tracking: TrackingSettings = TrackingSettings()
    search: SearchSettings = SearchSettings()
    limits: LimitSettings = LimitSettings()
    serving: ServingSettings = ServingSettings()
    privacy: PrivacySettings = PrivacySettings()
    server: ServerSettings = ServerSettings()
    backups: BackupSettings = BackupSettings()
    feed: FeedSettings = FeedSettings()
    watch: WatchSettings = WatchSettings()

    @field_validator("title", "description", "notice", "placeholder")
    @classmethod
    def _has_english(cls, value: dict[str, str]) -> dict[str, str]:
        if value and "en" not in value:
            raise ValueError(f"no 'en' text; languages given: {', '.join(value)}")
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if not self.data.train and not self.data.catalogue and not self.model:
            raise ValueError("neither data.train nor model is given: a demo needs examples, a catalogue or a fine-tuned model")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels has a label twice: {', '.join(self.labels)}")
        if self.fallback_label and self.labels and self.fallback_label not in self.labels:
            raise ValueError(f"fallback_label {self.fallback_label!r} is not a label; labels: {', '.join(self.labels)}")
        return self

    def resolve(self, name: str) -> Path:
        """Return a path of the TOML as seen from the TOML's own folder."""
        return (self.path.parent / name).resolve()

    def words(self, which: Mapping[str, str], language: str) -> str:
        """Return the text in this language, or in English, or nothing."""
        return which.get(language) or which.get("en", "")


def load_demo(path: Path | str) -> Demo:
    """Read a demo's TOML. Raises BadDemo naming the file, the key, the value and the rule."""
    path = Path(path).resolve()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        beside = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise BadDemo(f"{path}: no such demo file; in that folder: {', '.join(beside) or 'no .toml at all'}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadDemo(f"{path}: cannot be read as UTF-8 text: {error}") from error
    except RecursionError:
        raise BadDemo(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        raise BadDemo(f"{path}: not valid TOML: {error}") from error
    if "\0" in json.dumps(raw, default=str, ensure_ascii=False).replace("\\u0000", "\0"):
        raise BadDemo(f"{path}: a value holds a NUL: that is no text, and no file has such a name")
    try:
        return Demo.model_validate({**raw, "path": path})
    except ValidationError as error:
        raise BadDemo(f"{path}: " + "; ".join(_said(problem) for problem in error.errors())) from error


_ROWS: dict[str, type[BaseModel]] = {"arms": Arm, "guardrails": GuardrailSettings}


def _said(problem: object) -> str:
    """Turn one of pydantic's problems into 'key = value: rule', with the known keys where a key is unknown."""
    assert isinstance(problem, dict)
    where = ".".join(str(part) for part in problem["loc"]) or "demo"
    if problem["type"] == "extra_forbidden":
        table: type[BaseModel] = Demo
        for part in problem["loc"][:-1]:
            inner = table.model_fields.get(str(part))
            annotation = inner.annotation if inner else None
            table = (
                annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else _ROWS.get(str(part), table)
            )
        return f"unknown key {where}; known here: {', '.join(table.model_fields)}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    value = problem["input"]
    shown = "" if isinstance(value, dict) else f" = {value!r}"
    return f"{where}{shown}: {problem['msg'].removeprefix('Value error, ')}"
