// What several people say alike and nobody otherwise: a count, a sample, all of it on demand, and one button that accepts it.
const SAMPLE = 5;

class BulkCard {
  constructor({ load, accept, onClose }) {
    this.load = load;
    this.accept = accept;
    this.onClose = onClose;
    this.groups = [];
    this.status = statusLine();
    this.lead = el("p", { class: "am-muted" });
    this.list = el("ol", { class: "am-given" });
    this.allButton = el("button", { type: "button", class: "am-tool", onclick: () => this.draw(true) });
    this.acceptButton = el("button", { type: "button", class: "am-button am-primary", onclick: () => this.send() });
    this.closeButton = el("button", { type: "button", class: "am-button", text: say("review.bulk_close"), onclick: () => this.close() });
    this.node = el("section", { class: "am-card am-bulk", "aria-labelledby": "am-bulk-title", tabindex: "-1", hidden: true },
      el("h2", { id: "am-bulk-title", text: say("review.bulk") }), this.lead, this.status.node, this.list, el("div", {}, this.allButton),
      el("div", { class: "am-actions" }, this.acceptButton, this.closeButton));
  }

  get open() { return !this.node.hidden; }

  async show() {
    this.node.hidden = false;
    this.status.tell("");
    const answer = await this.load();
    if (answer.lost || answer.error) this.status.tell(answer.error ?? say("review.lost"), "bad");
    else {
      this.groups = answer.groups;
      this.draw(false);
    }
    this.node.focus({ preventScroll: true });
    bringIntoView(this.node);
  }

  corrections() { return this.groups.flatMap((group) => group.corrections); }

  draw(all) {
    const count = this.corrections().length;
    this.lead.textContent = count ? say("review.bulk_lead", { count, texts: this.groups.length }) : say("review.bulk_none");
    this.list.replaceChildren(...(all ? this.groups : this.groups.slice(0, SAMPLE)).map((group) => this.group(group)));
    this.allButton.hidden = all || this.groups.length <= SAMPLE;
    this.allButton.textContent = say("review.bulk_all", { texts: this.groups.length });
    this.acceptButton.hidden = !count;
    this.acceptButton.textContent = say("review.bulk_accept", { count });
  }

  group({ text, shown, proposed, people }) {
    const body = el("div", { class: "am-given-output" });
    widget.view(body, text, proposed, shown, "am-added");
    return el("li", { class: "am-given-item" }, el("p", { class: "am-muted", text: say("review.bulk_people", { count: people }) }),
      widget.showsText ? null : el("p", { class: "am-text am-quiet", dir: "auto", text }), body, differenceList(text, shown, proposed));
  }

  async send() {
    this.acceptButton.disabled = true;
    const answer = await this.accept(this.corrections());
    this.acceptButton.disabled = false;
    if (answer.lost || answer.error) this.status.tell(answer.error ?? say("review.lost"), "bad");
    else this.close();
  }

  close() {
    this.node.hidden = true;
    this.onClose();
  }
}
