"""Declare, offer, pause, stop and decide experiments; who gets which variant; the champion pointer.

Use cases like the desk's, over the store. One experiment runs at a time; a passed candidate that comes meanwhile waits.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from feedback import assign
from feedback.declaring import changed, checked, guardrails_of
from feedback.errors import BadInput, Conflict, NotFound
from feedback.records import CHAMPION, Experiment, Exposure, Promotion, State, Variant, Visitor, new_id, now
from feedback.store import Store

_MOVES: dict[str, tuple[tuple[State, ...], State]] = {
    "start": (("declared",), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "stop": (("declared", "running", "paused"), "stopped"),
}
ACTIONS = tuple(_MOVES)
LIVE = ("running", "paused")
_NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,60}")  # "." and ".." vanish from an address


class Assignment(NamedTuple):
    """Which variant a visitor gets. `exposure` is there where it must be stored before the answer is shown."""

    variant: Variant
    experiment: str  # empty: in no experiment, or forced
    number: int
    forced: bool
    exposure: Exposure | None


class Experiments:
    """The experiments of one log, with the running one in memory. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._current: Experiment | None = None
        self._champion: int | None = None
        self._exposed: dict[str, tuple[str, int]] = {}  # contributor -> (variant, newest experiment number)
        self._listeners: list[Callable[[], None]] = []
        self._prepare: Callable[[Variant], None] = lambda variant: None
        self._load()

    def before_serving(self, prepare: Callable[[Variant], None]) -> None:
        """Call `prepare(variant)` before a variant starts to serve (to load and try it), outside of every lock."""
        self._prepare = prepare

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of what serves."""
        self._listeners.append(listener)

    def _load(self) -> None:
        with self._lock:
            row = self._store.rows("SELECT version FROM champion")
            self._champion = int(row[0]["version"]) if row else None
            live = [e for e in self.all() if e.state in LIVE]
            self._current = live[-1] if live else None
            self._exposed = {}
            if self._current:
                self._exposed = {
                    row["contributor"]: (row["variant"], int(row["number"]))
                    for row in self._store.rows(
                        """SELECT contributor, arg_max(variant, experiment_number) AS variant, max(experiment_number) AS number
                           FROM exposures WHERE experiment = ? GROUP BY contributor""",
                        [self._current.name],
                    )
                }

    # -- what serves ---------------------------------------------------------------------------------------------

    @property
    def champion(self) -> int:
        """The version that serves. Raises NotFound before the first."""
        if self._champion is None:
            raise NotFound("no model version serves yet", code="no_version_serves")
        return self._champion

    @property
    def current(self) -> Experiment | None:
        """The experiment that runs or is paused, or None."""
        return self._current

    def all(self) -> list[Experiment]:
        """Return every experiment in its newest number, oldest first."""
        return [_experiment(row) for row in self._store.rows("SELECT * FROM current_experiments ORDER BY created")]

    def get(self, name: str) -> Experiment:
        """Return an experiment in its newest number, or raise NotFound with the choices."""
        known = {experiment.name: experiment for experiment in self.all()}
        if name not in known:
            raise NotFound(
                f"no experiment {name!r}; there are: {', '.join(known) or 'none yet'}",
                code="no_experiment",
                values={"name": name, "known": ", ".join(known) or "–"},
            )
        return known[name]

    def numbers(self, name: str) -> list[Experiment]:
        """Return every number of an experiment, oldest first: who changed what, when and why."""
        self.get(name)
        return [_experiment(row) for row in self._store.rows("SELECT * FROM experiments WHERE name = ? ORDER BY number", [name])]

    def serving(self) -> list[int]:
        """Return the versions that can be asked for now, champion first."""
        with self._lock:
            versions = [] if self._champion is None else [self._champion]
            for variant in self._current.variants if self._current else ():
                if variant.version not in versions:
                    versions.append(variant.version)
            return versions

    def assign(self, visitor: Visitor) -> Assignment:
        """Return the visitor's variant: the one met before while it has a share, else the hash's choice."""
        with self._lock:
            current, champion, met = self._current, self.champion, self._exposed.get(visitor.contributor)
        if visitor.forced_variant:
            return Assignment(_forced(visitor, current, champion), "", 0, True, None)
        if current is None:
            return Assignment(Variant(CHAMPION, champion, 1.0), "", 0, False, None)
        # The kill switch: everybody to the control, and it does not count. So too where answers are compared in pairs.
        if current.state == "paused" or current.mode == "side_by_side":
            return Assignment(current.control, "", 0, False, None)
        by_name = {variant.name: variant for variant in current.variants}
        if met and met[0] in by_name and by_name[met[0]].share > 0:
            variant = by_name[met[0]]
        else:
            pieces = assign.ranges(len(current.variants), current.coverage, [v.share for v in current.variants])
            place = assign.place(current.salt, visitor.contributor)
            assert place is not None
            chosen = assign.choose(place, pieces)
            if chosen < 0 and current.coverage < 1:  # not of the part of the traffic that takes part
                return Assignment(Variant(CHAMPION, champion, 1.0), "", 0, False, None)
            variant = current.variants[max(chosen, 0)]
        exposure = None
        if met is None or met[1] != current.number:
            exposure = Exposure(
                current.name, current.number, visitor.contributor, variant.name, variant.version,
                variant.share, visitor.channel, visitor.language, visitor.device,
            )  # fmt: skip
        return Assignment(variant, current.name, current.number, False, exposure)

    def met(self, exposure: Exposure) -> None:
        """Remember an exposure that is stored now."""
        with self._lock:
            if self._current and self._current.name == exposure.experiment:
                self._exposed[exposure.contributor] = (exposure.variant, exposure.experiment_number)

    # -- changes -------------------------------------------------------------------------------------------------

    def declare(self, experiment: Experiment, champion: int | None = None, *, start: bool = True) -> Experiment:
        """Declare a new experiment, and start it at once unless told otherwise.

        Raises Conflict for a name that was used, or where it shall start while another runs, and BadInput for a
        declaration that breaks a rule. `champion`: refuse with Conflict where the champion is another by now.
        """
        experiment = checked(experiment)
        _check_name(experiment.name)
        if start and self._current is None:
            self._prepare_all(experiment)
        with self._lock:
            if champion is not None and champion != self.champion:
                raise Conflict(
                    f"the champion is version {self.champion} by now, not {champion}: look again",
                    code="champion_moved",
                    values={"now": self.champion, "then": champion},
                )
            if start:
                self._refuse_second()
            if any(known.name == experiment.name for known in self.all()):
                raise Conflict(
                    f"an experiment named {experiment.name!r} exists already: names are used once",
                    code="experiment_exists",
                    values={"name": experiment.name},
                )
            salt = experiment.salt or f"{experiment.name}:{new_id('x')}"
            stored = replace(experiment, number=1, state="running" if start else "declared", salt=salt, created=now())
            self._store.add(stored)
            self._load()
        self._tell()
        return stored

    def _refuse_second(self) -> None:
        if self._current:
            raise Conflict(
                f"experiment {self._current.name!r} is {self._current.state}: stop or decide it first",
                code="experiment_in_the_way",
                values={"name": self._current.name},
            )

    def _prepare_all(self, experiment: Experiment) -> None:
        for variant in experiment.variants:
            self._prepare(variant)

    def offer(
        self, version: int, *, share: float, author: str, reason: str = "", defaults: Mapping[str, Any] | None = None
    ) -> Experiment:
        """Make a version the challenger of the champion in a new experiment; again is no change."""
        current, champion = self._current, self.champion
        running = next((v for v in current.variants[1:] if v.version == version), None) if current else None
        if current and running:
            if abs(running.share - share) > 1e-9:
                raise Conflict(
                    f"version {version} is offered already, with share {running.share:g}: reweigh {current.name!r} instead",
                    code="offered_already",
                    values={"version": version, "share": f"{running.share:g}", "name": current.name},
                )
            return current
        if version == champion:
            raise Conflict(
                f"version {version} is the champion: offer another version against it",
                code="champion_offered",
                values={"version": version},
            )
        if not 0 < share < 1:
            raise BadInput(
                f"share {share:g}: the challenger's share must be between 0 and 1",
                code="challenger_share",
                values={"share": f"{share:g}"},
            )
        variants = (Variant(CHAMPION, champion, 1 - share), Variant(f"v{version}", version, share))
        name = self._fresh_name(f"v{version}-against-v{champion}")
        return self.declare(
            Experiment(name, 1, "running", variants, author=author, reason=reason, **dict(defaults or {})), champion=champion
        )

    def act(self, name: str, action: str, author: str, reason: str = "") -> Experiment:
        """Start, pause (the kill switch), resume or stop an experiment; each is a new number of it."""
        if action not in ACTIONS:
            raise BadInput(f"unknown action {action!r}: available are {', '.join(ACTIONS)}")
        sources, target = _MOVES[action]
        if action == "start":
            self._prepare_all(self.get(name))
        with self._lock:
            experiment = self.get(name)
            if experiment.state == target:
                return experiment
            if experiment.state not in sources:
                end = " for good" if experiment.state in ("stopped", "decided") else f": it cannot {action}"
                raise Conflict(f"experiment {name!r} is {experiment.state}{end}", code="experiment_state", values={"name": name})
            if action == "start":
                self._refuse_second()
            made = self._change(experiment, state=target, author=author, reason=reason)
        self._tell()
        return made

    def change(self, name: str, changes: Mapping[str, Any], author: str, reason: str = "") -> Experiment:
        """Change a declared experiment, or shares, coverage (the ramp) and versions of a running one; a new number of it.

        Everybody who can stay with their variant stays. See declaring.changed for what may change when.
        """
        wanted = changed(self.get(name), changes)
        if wanted.state in LIVE:
            self._prepare_all(wanted)
        with self._lock:
            experiment = self.get(name)
            if experiment.state not in ("declared", *LIVE):
                raise Conflict(
                    f"experiment {name!r} is {experiment.state} for good", code="experiment_over", values={"name": name}
                )
            wanted = changed(experiment, changes)
            if wanted == experiment:
                return experiment
            made = self._change(wanted, author=author, reason=reason)
        self._tell()
        return made

    def reweigh(self, name: str, shares: Mapping[str, float], author: str, reason: str = "") -> Experiment:
        """Change the shares; everybody who can stay with their variant stays."""
        return self.change(name, {"shares": dict(shares)}, author, reason)

    def decide(self, name: str, winner: str, author: str, reason: str, *, promote: bool = False) -> Experiment:
        """End an experiment with the variant that is kept, and why; with `promote` its version becomes the champion.

        Raises BadInput for an unknown variant, no reason, or a promotion of a variant that has settings of its own.
        """
        if not reason.strip():
            raise BadInput(
                "a decision needs a reason: it stays in the log beside the name of who decided", code="decision_reason"
            )
        variant = {v.name: v for v in self.get(name).variants}.get(winner)
        if variant is None:
            raise BadInput(
                f"no variant {winner!r}: there are {', '.join(v.name for v in self.get(name).variants)}",
                code="no_variant",
                values={"name": winner, "known": ", ".join(v.name for v in self.get(name).variants)},
            )
        if promote and variant.settings:
            raise BadInput(
                f"variant {winner!r} differs by serving settings, and only a version can be promoted: decide it without promoting",
                code="settings_variant",
                values={"name": winner},
            )
        if promote:
            self._prepare(variant)
        with self._lock:
            experiment = self.get(name)
            if experiment.state not in (*LIVE, "stopped"):
                raise Conflict(
                    f"experiment {name!r} is {experiment.state}: only one that has run can be decided",
                    code="experiment_never_ran",
                    values={"name": name},
                )
            ended = replace(experiment, number=experiment.number + 1, state="decided", winner=winner, author=author,
                            reason=reason, created=now())  # fmt: skip
            rows: list[Any] = [ended]
            if promote and variant.version != self.champion:
                rows.append(Promotion(new_id("m"), variant.version, self.champion, "promote", author, reason))
                if self._current and self._current.name != name:
                    raise Conflict(
                        f"experiment {self._current.name!r} runs now: decide it first, a promotion would end it",
                        code="experiment_would_end",
                        values={"name": self._current.name},
                    )
            self._store.add(*rows)
            self._load()
        self._tell()
        return ended

    def promote(self, version: int, author: str, reason: str = "") -> Promotion:
        """Move the champion pointer; a running experiment is decided by it. Promoting the champion again changes nothing."""
        return self._move(version, "promote", author, reason)

    def roll_back(self, author: str, reason: str = "") -> Promotion:
        """Give the champion's place back to whoever held it before. Raises Conflict where nobody did."""
        history = self._store.rows("SELECT version, previous, kind FROM promotions ORDER BY created, rowid")
        trail: list[int] = []
        for row in history:
            if row["kind"] == "rollback" and len(trail) > 1:
                trail.pop()
            else:
                trail.append(int(row["version"]))
        if len(trail) < 2:
            raise Conflict("there is no earlier champion to go back to", code="no_earlier_champion")
        return self._move(trail[-2], "rollback", author, reason)

    def begin(self, version: int, author: str) -> None:
        """Make the first version the champion of a log that has none."""
        with self._lock:
            if self._champion is None:
                self._store.add(Promotion(new_id("m"), version, None, "first", author, "the starter"))
                self._champion = version

    def _move(self, version: int, kind: Any, author: str, reason: str) -> Promotion:
        self._prepare(Variant(CHAMPION, version, 1.0))
        with self._lock:
            if version == self.champion and kind == "promote":
                rows = self._store.rows("SELECT * FROM champion")
                return Promotion(**rows[0])
            rows_to_add: list[Any] = []
            promotion = Promotion(new_id("m"), version, self.champion, kind, author, reason)
            if self._current:
                words = f"version {version} became champion ({kind})" + (f": {reason}" if reason else "")
                number = self._current.number + 1
                kept = next((v.name for v in self._current.variants if v.version == version), "")
                rows_to_add.append(
                    replace(
                        self._current, number=number, state="decided", winner=kept, author=author, reason=words, created=now()
                    )
                )
            self._store.add(promotion, *rows_to_add)
            self._load()
        self._tell()
        return promotion

    def _change(self, experiment: Experiment, **changes: Any) -> Experiment:
        made = replace(experiment, number=experiment.number + 1, created=now(), **changes)
        self._store.add(made)
        self._load()
        return made

    def _fresh_name(self, wanted: str) -> str:
        taken = {experiment.name for experiment in self.all()}
        name, again = wanted, 1
        while name in taken:
            again += 1
            name = f"{wanted}-{again}"
        return name

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _forced(visitor: Visitor, current: Experiment | None, champion: int) -> Variant:
    choices = list(current.variants) if current else []
    choices.append(Variant(CHAMPION, champion, 1.0))
    for variant in choices:
        if variant.name == visitor.forced_variant:
            return variant
    raise BadInput(
        f"no variant {visitor.forced_variant!r} to force: available are {', '.join(dict.fromkeys(v.name for v in choices))}"
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"experiment name {name!r}: 1 to 60 of letters, digits, '_', '.' and '-'",
            code="experiment_name",
            values={"name": name},
        )


def _experiment(row: Mapping[str, Any]) -> Experiment:
    variants = tuple(Variant(**variant) for variant in json.loads(row["variants"]))
    guardrails, segments = guardrails_of(json.loads(row["guardrails"])), tuple(json.loads(row["segments"]))
    return Experiment(**{**row, "variants": variants, "guardrails": guardrails, "segments": segments})


if __name__ == "__main__":
    from feedback.experiment_commands import main

    raise SystemExit(main())
