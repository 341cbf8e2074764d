// Two answers side by side, nobody knows whose: which is better, and a way to correct either.
class PairCard {
  constructor({ onSent }) {
    this.pair = null;
    this.voting = false;
    this.choice = null;
    this.status = statusLine();
    this.stale = el("p", { class: "am-note", text: say("page.answer_stale"), hidden: true });
    this.lead = el("p", { class: "am-muted" });
    this.notes = el("div", { class: "am-notes" });
    this.differs = el("p", { class: "am-muted", text: widget.differsKey ? say(widget.differsKey) : "" });
    this.cards = [
      new AnswerCard({ onSent, title: say("page.answer_a"), folded: { open: say("page.correct_a") } }),
      new AnswerCard({ onSent, title: say("page.answer_b"), folded: { open: say("page.correct_b") } })];
    this.buttons = new Map([["left", "page.vote_left"], ["right", "page.vote_right"], ["both", "page.vote_both"], ["neither", "page.vote_neither"]]
      .map(([choice, key]) => [choice, el("button", { type: "button", class: "am-button am-vote", text: say(key), onclick: () => this.vote(choice) })]));
    const question = freshId("question");
    this.question = el("p", { class: "am-question", id: question });
    this.votes = el("div", { class: "am-votes", role: "group", "aria-labelledby": question }, ...this.buttons.values());
    const title = freshId("pair-title");
    this.node = el("section", { class: "am-card am-pair", "aria-labelledby": title },
      el("div", {}, el("h2", { id: title, text: say("page.pair") }), this.lead, this.differs), this.stale, this.notes,
      el("div", { class: "am-two" }, ...this.cards.map((card) => card.node)),
      this.question, this.votes, this.status.node);
  }

  // answer: { pair, same, left, right, text }; a side is { id, output, confidence, notes }.
  show(answer) {
    this.pair = answer;
    this.voting = false;
    this.choice = null;
    const { left, right, text } = answer;
    const notes = [...new Set([...left.notes, ...right.notes])]; // they concern the text: once is enough
    this.notes.replaceChildren(...notes.map((note) => el("p", { class: "am-note", role: "status", text: note })));
    this.cards[0].show({ ...left, text, notes: [], other: right.output });
    this.cards[1].show({ ...right, text, notes: [], other: left.output });
    this.lead.textContent = say(answer.same ? "page.pair_same" : "page.pair_lead");
    this.question.textContent = say(answer.same ? "page.pair_ask_same" : "page.pair_ask");
    this.differs.hidden = answer.same || !widget.differsKey;
    for (const choice of ["left", "right"]) this.buttons.get(choice).hidden = answer.same; // neither can be the better one
    this.stale.hidden = true;
    this.status.tell("");
    this.refresh();
    bringIntoView(this.node);
  }

  stillAnswers(is) { this.stale.hidden = !this.pair || is(this.pair.text); }

  refresh() {
    for (const [choice, button] of this.buttons) {
      button.disabled = this.voting || this.choice !== null;
      button.setAttribute("aria-pressed", String(choice === this.choice));
    }
  }

  async vote(choice) {
    const { pair } = this;
    const button = this.buttons.get(choice);
    const words = button.textContent;
    this.voting = true;
    button.textContent = say("page.sending");
    this.status.tell("");
    this.refresh();
    const answer = await ask("vote", { pair: pair.pair, choice });
    button.textContent = words;
    if (pair !== this.pair) return; // other answers came meanwhile
    this.voting = false;
    if (answer.lost) this.status.tell(say("page.lost"), "bad");
    else if (answer.fresh) this.status.tell(say("page.cookie_dropped"), "bad");
    else if (answer.error) this.status.tell(answer.error, "bad");
    else {
      this.choice = answer.choice;
      this.status.tell(say("page.voted"), "good");
    }
    this.refresh();
  }
}
