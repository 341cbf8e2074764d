// What the reviewer did last, each with a way to take it back, and what others had said of it: shown after one's own verdict.
const DONE = { accept: "review.done_accept", reject: "review.done_reject", amend: "review.done_amend" };

class LastVerdicts {
  constructor({ onUndo, onRepeat, loadOthers }) {
    this.onUndo = onUndo;
    this.onRepeat = onRepeat;
    this.loadOthers = loadOthers;
    this.acts = [];
    this.busy = false;
    this.list = el("ol", { class: "am-given am-last" });
    this.node = el("section", { class: "am-card", "aria-labelledby": "am-last-title", hidden: true },
      el("h2", { id: "am-last-title", text: say("review.last") }), this.list);
  }

  // `others` belongs to the newest act, where it has just been made.
  show(acts, others = null) {
    this.acts = acts;
    this.node.hidden = !acts.length;
    this.list.replaceChildren(...acts.map((act, i) => this.act(act, i === 0, i === 0 ? others : null)));
  }

  newest() { return this.acts[0] ?? null; }

  setBusy(busy) {
    this.busy = busy;
    this.list.querySelectorAll("button").forEach((button) => { button.disabled = busy; });
  }

  act(act, newest, others) {
    const when = new Intl.DateTimeFormat(facts.language, { timeStyle: "short" }).format(new Date(act.created));
    const undo = el("button", { type: "button", class: "am-tool", "aria-keyshortcuts": newest ? "u" : null, onclick: () => this.onUndo(act) },
      el("span", { text: say("review.undo") }), newest ? el("kbd", { "aria-hidden": "true", text: "u" }) : null);
    const said = el("div", { class: "am-others" });
    const fold = el("details", { class: "am-fold", hidden: act.size > 1 }, el("summary", { text: say("review.others") }), said);
    fold.addEventListener("toggle", () => { if (fold.open && !said.childElementCount) this.open(act, said); });
    if (others) { // before it is opened, so that opening asks nobody
      this.fill(said, act, others);
      fold.open = others.said.length > 0 || others.judged.length > 0;
    }
    return el("li", { class: "am-given-item" },
      el("div", { class: "am-given-head" }, el("span", { class: "am-badge", dataset: { status: act.verdict === "reject" ? "rejected" : "accepted" }, text: say(DONE[act.verdict]) }),
        act.size > 1 ? el("span", { class: "am-muted", text: say("review.at_once", { count: act.size }) }) : null,
        el("time", { class: "am-muted", datetime: act.created, text: when })),
      el("div", { class: "am-last-line" }, el("p", { class: "am-excerpt", dir: "auto", text: act.text }), undo), fold);
  }

  async open(act, said) {
    const answer = await this.loadOthers(act);
    if (answer.lost || answer.error) said.replaceChildren(el("p", { class: "am-muted", text: answer.error ?? say("review.lost") }));
    else this.fill(said, act, answer.others);
  }

  fill(host, act, others) {
    const same = others.said.filter((one) => one.same).length;
    const summary = others.said.length ? say("review.others_said", { same, otherwise: others.said.length - same }) : say("review.others_none");
    const alike = el("button", { type: "button", class: "am-tool", hidden: !others.alike, text: say("review.repeat", { count: others.alike }),
      onclick: () => this.onRepeat(act) });
    host.replaceChildren(el("p", { class: "am-muted", text: summary }),
      ...others.judged.map(({ reviewer, verdict, reason }) => el("p", { class: "am-muted", text: say("review.other_verdict", { reviewer, verdict, reason }) })),
      el("ul", { class: "am-answers" }, ...others.said.map((one) => this.voice(act, one))), alike);
  }

  voice(act, one) {
    const body = el("div");
    const none = widget.emptyKey(one.output, false);
    widget.view(body, act.text, one.output, act.output, "am-differs");
    return el("li", {}, el("p", { class: "am-muted", text: say("review.person", { person: one.person, words: one.status_words }) }), body,
      none ? el("p", { class: "am-muted", text: say(none) }) : null,
      one.comment ? el("blockquote", { class: "am-quote", text: one.comment }) : null);
  }
}
