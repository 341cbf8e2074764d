// What the person gave: their corrections, what became of each, and a way to take each back.
class GivenList {
  constructor() {
    this.list = el("ol", { class: "am-given" });
    this.empty = el("p", { class: "am-muted am-empty", text: say("page.given_empty") });
    this.more = el("p", { class: "am-muted", hidden: true });
    this.status = statusLine();
    this.retry = el("button", { type: "button", class: "am-tool", text: say("page.reload"), hidden: true, onclick: () => this.load() });
    this.node = el("section", { class: "am-card", "aria-labelledby": "am-given-title" },
      el("div", { class: "am-card-head" }, el("h2", { id: "am-given-title", text: say("page.given") }), this.retry),
      this.status.node, this.empty, this.list, this.more);
  }

  async load() {
    const answer = await ask("given", {});
    this.retry.hidden = !(answer.lost || answer.error);
    if (!this.retry.hidden) this.status.tell(answer.error ?? say("page.given_lost"), "bad");
    else {
      this.status.tell(answer.fresh ? say("page.cookie_dropped") : "", "bad");
      this.show(answer.given);
    }
  }

  show(given) {
    this.empty.hidden = given.length > 0;
    this.more.hidden = given.length < facts.givenLimit;
    this.more.textContent = say("page.given_more", { count: given.length });
    this.list.replaceChildren(...given.map((item) => this.item(item)));
  }

  item(item) {
    const when = new Intl.DateTimeFormat(facts.language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(item.created));
    const output = el("div", { class: "am-given-output" });
    widget.view(output, item.text, item.output);
    const button = el("button", { type: "button", class: "am-tool", text: say("page.withdraw"), hidden: item.status === "withdrawn",
      onclick: () => this.withdraw(item, button) });
    return el("li", { class: "am-given-item", dataset: { status: item.status } },
      el("div", { class: "am-given-head" }, el("span", { class: "am-badge", dataset: { status: item.status }, text: item.status_words }),
        el("span", { class: "am-muted", text: say(item.confirmation ? "page.was_confirmation" : "page.was_correction") }),
        el("time", { class: "am-muted", datetime: item.created, text: when })),
      widget.showsText ? null : el("p", { class: "am-text am-quiet", text: item.text }), output,
      item.comment ? el("p", { class: "am-muted am-pre", text: say("page.your_comment", { comment: item.comment }) }) : null,
      item.reason ? el("p", { class: "am-muted am-pre", text: say("page.reason", { reason: item.reason }) }) : null,
      el("div", { class: "am-given-foot" }, button));
  }

  async withdraw(item, button) {
    button.disabled = true;
    button.textContent = say("page.withdrawing");
    const answer = await ask("withdraw", { correction: item.id });
    button.textContent = say("page.withdraw");
    button.disabled = false;
    if (answer.lost) this.status.tell(say("page.lost"), "bad");
    else if (answer.fresh) this.status.tell(say("page.cookie_dropped"), "bad");
    else if (answer.error) this.status.tell(answer.error, "bad");
    else {
      this.status.tell("");
      this.show(answer.given);
    }
  }
}
