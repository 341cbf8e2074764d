"""What the Models page shows, computed from the rooms at each redraw. It draws nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from feedback.experiments import Experiments
from feedback.records import text_of
from feedback.words import Say
from model.gate_report import Names, gate_words
from model.lane import Lane
from model.ledger import MANY
from model.retrain import Retrainer
from model.versions import Card, Versions

_RUN_COLUMNS = ("began", "state", "trigger", "examples", "version", "detail", "id")
_VERSION_COLUMNS = ("version", "role", "method", "parent", "examples", "score", "gate", "created")
_WORSE_COLUMNS = ("text", "truth", "before", "after")


class Shown:
    """The page's texts and tables, in its language."""

    def __init__(
        self,
        t: Say,
        retrainer: Retrainer,
        experiments: Experiments,
        versions: Versions,
        lane: Lane | None = None,
        engines: Callable[[], Mapping[int, str]] = dict,
        names: Names = str,
    ) -> None:
        self._names = names
        self._t = t
        self._retrainer = retrainer
        self._experiments = experiments
        self._versions = versions
        self._lane = lane
        self._engines = engines

    def overview(self) -> str:
        """Say who serves, who challenges, who waits, and what went wrong on disk or with the webhook."""
        t = self._t
        lines = [t("models.now", champion=self._experiments.champion)]
        current = self._experiments.current
        for variant in current.variants[1:] if current else ():
            lines.append(
                t("models.challenger", version=variant.version, experiment=current.name if current else "", share=variant.share)
            )
        waiting = self._retrainer.offering.waiting()
        if waiting:
            lines.append(t("models.waiting", version=waiting.number))
        lines += [t("models.engine", version=version, engine=engine) for version, engine in self._engines().items()]
        lines += self._fast_lane()
        accepted, new = self._retrainer.feedback()
        lines.append(t("models.accepted", count=accepted, new=new))
        people, needed = self._retrainer.rounds.believed_contributors()
        if 0 < people < needed:
            lines.append(t("models.few_contributors", count=people, needed=needed))
        lines += [t("models.problem", problem=problem) for problem in self._versions.problems()]
        delivery = self._retrainer.last_delivery()
        if delivery and delivery.error:
            lines.append(t("models.webhook_failed", event=delivery.event, error=delivery.error))
        return "\n".join(lines)

    def _fast_lane(self) -> list[str]:
        """Say what the fast lane does or waits for, and how soon its newest challenger served; nothing where the demo has none."""
        if self._lane is None or not self._lane.on:
            return []
        state, served = self._lane.state(), self._lane.last_served()
        lines = [self._t(f"models.lane.{state.name}", new=state.new, needed=state.needed, experiment=state.experiment)]
        if served:
            lines.append(self._t("models.lane.served", version=served.version, seconds=f"{served.seconds:.1f}"))
        return lines

    def progress(self) -> str:
        """Say where the running training is."""
        now = self._retrainer.progress()
        if now is None:
            return self._t("models.idle")
        stage = self._t(f"models.stage.{now.stage}")
        return self._t("models.running", run=now.run, stage=stage, done=now.done, total=now.total, message=now.message)

    def choice(self, chosen: int | None) -> tuple[int | None, list[int]]:
        """Return the version that stays picked, and all that can be."""
        numbers = [card.number for card in reversed(self._versions.cards())]
        return (chosen if chosen in numbers else (numbers[0] if numbers else None)), numbers

    def table(self) -> pd.DataFrame:
        """Return one row a version, newest first."""
        rows = [
            (
                card.number, self._role(card), card.method or card.kind, "" if card.parent is None else card.parent,
                card.training.get("examples", ""), _score(card), self._t(f"models.verdict.{card.verdict}"), card.created,
            )
            for card in reversed(self._versions.cards())
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=[self._t(f"models.column.{name}") for name in _VERSION_COLUMNS])

    def gate(self, number: int | None) -> str:
        """Return every check of a version's gate in words."""
        if number is None:
            return ""
        card = self._versions.card(number)
        untracked = [self._t("models.untracked", problem=problem) for problem in card.training.get("untracked", ())]
        if card.gate is None:
            return "\n".join([self._t("models.no_gate", version=number, score=_score(card)), *self._erased(card), *untracked])
        title = self._t(
            "models.gate_title", version=number, champion=card.champion_version, verdict=self._t(f"models.verdict.{card.verdict}")
        )
        judged = gate_words(card.gate, self._t, self._names)
        lines = [title, *judged, *self._ledger(card), *self._weighing(card), *self._origin(card), *self._erased(card)]
        return "\n".join([*lines, *untracked])

    def worse(self, number: int | None) -> pd.DataFrame:
        """Return the items that a version answers worse than its champion did, those that lost most first; often empty."""
        card = None if number is None else self._versions.card(number)
        if card is None or not card.gate:
            return pd.DataFrame([], columns=[self._t(f"models.worse.{name}") for name in _WORSE_COLUMNS])
        task, listed = card.bound_task(), card.gate.get("worse", [])
        rows = [
            (text_of(item["input"]), *(task.words_of(item["input"], item[name]) for name in ("truth", "before", "after")))
            for item in listed
        ]
        return pd.DataFrame(rows, columns=[self._t(f"models.worse.{name}") for name in _WORSE_COLUMNS])

    def _ledger(self, card: Card) -> list[str]:
        """Say how often the gate's items had judged before."""
        ledger = self._retrainer.rounds.ledger(card)
        if ledger is None:
            return []
        lines = [self._t("models.ledger", **ledger._asdict())]
        return [*lines, self._t("models.worn", uses=ledger.uses)] if ledger.uses >= MANY else lines

    def _origin(self, card: Card) -> list[str]:
        """Say of a retrained version whose weights it started from, where that is not the champion of its time."""
        return [self._t("models.from_base")] if card.kind == "retrain" and card.parent is None else []

    def _erased(self, card: Card) -> list[str]:
        """Say what a version has to do with feedback that was erased: that it learned from it, or why it started elsewhere."""
        lines = [self._t("models.erased", version=card.number)] if card.erased else []
        if card.passed_over is not None:
            lines.append(self._t("models.passed_over", parent=card.parent, champion=card.passed_over))
        return lines

    def _weighing(self, card: Card) -> list[str]:
        """Say what the caps did to the feedback that a version learned."""
        told = self._retrainer.rounds.weighing(card)
        if not told:
            return []
        lines = [self._t("models.weighing", **{name: told[name] for name in ("weight", "before", "alike", "scaled")})]
        if told["few_contributors"]:
            lines.append(self._t("models.round_few", count=told["contributors"], needed=told["needed"]))
        for kind in dict.fromkeys(group["kind"] for group in told["over"]):  # the most in excess stands first
            largest = max((group for group in told["over"] if group["kind"] == kind), key=lambda group: float(group["share"]))
            lines.append(self._t(f"models.over.{kind}", share=largest["share"], cap=largest["cap"]))
        return lines

    def runs(self) -> pd.DataFrame:
        """Return the newest retrainings."""
        rows = [
            {
                **row,
                "state": self._t(f"models.state.{row['state']}"),
                "trigger": self._t(f"models.trigger.{row['trigger']}"),
                "began": f"{row['began']:%Y-%m-%d %H:%M}",
            }
            for row in self._retrainer.rounds.all(20)
        ]
        frame = pd.DataFrame([[row[name] for name in _RUN_COLUMNS] for row in rows], columns=list(_RUN_COLUMNS))
        return frame.rename(columns={name: self._t(f"models.run.{name}") for name in _RUN_COLUMNS})

    def _role(self, card: Card) -> str:
        current = self._experiments.current
        if card.number == self._experiments.champion:
            return self._t("models.role.champion")
        if current and any(variant.version == card.number for variant in current.variants):
            return self._t("models.role.challenger")
        waiting = self._retrainer.offering.waiting()
        return self._t("models.role.waiting" if waiting and waiting.number == card.number else "models.role.none")


def _score(card: Card) -> str:
    main = card.scores.get("test", {}).get("main")
    return "" if main is None else f"{main:.3f}"
