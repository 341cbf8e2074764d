// What the person gave: their corrections, what became of each, a way to take each back; and all their data, to take or erase.
class GivenList {
  constructor() {
    this.items = [];
    this.added = 0;
    this.list = el("ol", { class: "am-given" });
    this.empty = el("p", { class: "am-muted am-empty", text: say("page.given_empty") });
    this.more = el("p", { class: "am-muted", hidden: true });
    this.status = statusLine();
    this.retry = el("button", { type: "button", class: "am-tool", text: say("page.reload"), hidden: true, onclick: () => this.load() });
    // What came of the others is read anew when somebody comes back to the page, not with every correction.
    document.addEventListener("visibilitychange", () => { if (!document.hidden && root.isConnected) this.load(); });
    this.node = el("section", { class: "am-card", "aria-labelledby": "am-given-title" },
      el("div", { class: "am-card-head" }, el("h2", { id: "am-given-title", text: say("page.given") }), this.retry),
      this.status.node, this.empty, this.list, this.more, new OwnData().node);
  }

  async load() {
    const { added } = this;
    const answer = await ask("given", {});
    if (added !== this.added) return this.load(); // it may have been read before what was added meanwhile
    this.retry.hidden = !(answer.lost || answer.error);
    if (!this.retry.hidden) this.status.tell(answer.error ?? say("page.given_lost"), "bad");
    else {
      this.status.tell(answer.fresh ? say("page.cookie_dropped") : "", "bad");
      this.show(answer.given);
    }
  }

  add(item) {
    this.added += 1;
    this.show([item, ...this.items.filter((other) => other.id !== item.id)].slice(0, facts.givenLimit));
  }

  show(given) {
    this.items = given;
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
      widget.showsText ? null : el("p", { class: "am-text am-quiet", dir: "auto", text: item.text }), output,
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

// The whole of one's data: what is stored and for how long, a download, and an erasure that asks twice.
class OwnData {
  constructor() {
    const home = facts.language === "zh" ? "../" : "./";
    this.me = new URL(`${home}api/v1/me`, location.href).href.split("?")[0];
    this.status = statusLine();
    this.ask = el("button", { type: "button", class: "am-tool", text: say("privacy.erase"), onclick: () => this.sure(true) });
    this.yes = el("button", { type: "button", class: "am-tool", text: say("privacy.erase_yes"), onclick: () => this.erase() });
    this.no = el("button", { type: "button", class: "am-tool", text: say("privacy.erase_no"), onclick: () => this.sure(false) });
    this.warning = el("p", { class: "am-pre", role: "alert", text: "" });
    this.question = el("div", { hidden: true }, this.warning, el("div", { class: "am-tools" }, this.yes, this.no));
    this.node = el("div", { class: "am-own", id: "am-own" },
      el("h3", { text: say("privacy.title") }), el("p", { class: "am-muted", text: facts.privacy.join(" ") }),
      el("div", { class: "am-tools" }, el("a", { class: "am-tool", href: `${this.me}/data`, download: "", text: say("privacy.download") }), this.ask),
      this.question, this.status.node);
    const told = storage?.getItem(this.noteKey) ?? "";
    if (told) this.status.tell(told, "good");
    storage?.removeItem(this.noteKey);
  }

  get noteKey() {
    return `amend:${facts.name}:erased`;
  }

  sure(asked) {
    this.question.hidden = !asked;
    this.ask.hidden = asked;
    this.warning.textContent = asked ? say("privacy.erase_sure") : "";
    this.status.tell("");
    (asked ? this.no : this.ask).focus();
  }

  async erase() {
    this.yes.disabled = this.no.disabled = true;
    this.status.tell(say("privacy.erasing"), "info");
    try {
      const answer = await fetch(this.me, {
        method: "DELETE", headers: { "content-type": "application/json" }, body: JSON.stringify({ confirm: "erase" }),
      });
      if (answer.ok) this.begin(await answer.json());
      else this.status.tell(say(answer.status === 404 ? "privacy.nothing" : "privacy.failed"), "bad");
    } catch {
      this.status.tell(say("privacy.failed"), "bad");
    }
    this.yes.disabled = this.no.disabled = false;
  }

  // Begin anew: nothing that was typed or shown stays on the page or in this tab.
  begin(done) {
    storage?.removeItem(draftKey);
    storage?.setItem(this.noteKey, done.versions.length
      ? say("privacy.erased_versions", { versions: done.versions.join(", ") }) : say("privacy.erased"));
    location.reload();
  }
}
