// A text that somebody else put in, to be judged: the same card as for one's own, one text after another.
class AskedCard {
  constructor({ onSent }) {
    this.asking = false;
    this.onSent = onSent;
    this.card = null; // made when there is a first text to judge
    this.status = statusLine();
    this.text = el("p", { class: "am-text am-quiet am-pre", dir: "auto", hidden: true });
    this.button = el("button", { type: "button", class: "am-button am-asked-button", text: say("page.asked_show"), onclick: () => this.next() });
    this.node = el("section", { class: "am-card am-asked", "aria-labelledby": "am-asked-title" },
      el("div", { class: "am-card-head" }, el("h2", { id: "am-asked-title", text: say("page.asked") })),
      el("p", { class: "am-muted", text: say("page.asked_lead") }), this.text, this.button, this.status.node);
  }

  async next() {
    if (this.asking) return;
    this.asking = true;
    this.button.disabled = true;
    this.status.tell("");
    const answer = await ask("opinion", {});
    this.asking = this.button.disabled = false;
    if (answer.lost) this.status.tell(say("page.lost"), "bad");
    else if (answer.error) this.status.tell(answer.error, "bad");
    else if (answer.none) this.nothing();
    else {
      this.show(answer);
      this.button.textContent = say("page.asked_skip");
      if (answer.fresh) this.status.tell(say("page.cookie_dropped"), "bad");
    }
  }

  show(answer) {
    if (!this.card) {
      this.card = new AnswerCard({ title: say("page.asked_answer"), onSent: (sent) => this.sent(sent) });
      this.text.after(this.card.node);
    }
    this.text.hidden = widget.showsText;
    this.text.textContent = answer.text;
    this.card.node.hidden = false;
    this.card.show(answer);
  }

  sent(answer) {
    this.button.textContent = say("page.asked_next");
    this.onSent(answer);
  }

  nothing() {
    if (this.card) this.card.node.hidden = true;
    this.text.hidden = true;
    this.button.textContent = say("page.asked_show");
    this.status.tell(say("page.asked_none"), "good");
  }
}
