// One correction under review: why it is here, what was shown beside what is proposed, the difference in words, what versions
// answered, the widget to amend it, the reason. What is typed is kept in the tab until the verdict is stored. It asks no server.
const WHY = {
  undecided: "review.why_undecided", disagreement: "review.why_disagreement", unsure: "review.why_unsure",
  offered: "review.why_offered", rare: "review.why_rare", correction: "review.why_correction", cleaning: "review.why_cleaning",
};
const KINDS = { added: ["+", "review.added"], removed: ["−", "review.removed"], changed: ["≠", "review.changed"] };

const badge = (words, kind = "") => el("span", { class: "am-badge", dataset: { status: kind }, text: words });

// What changed between two outputs, as a list whose items say so by sign and word, never by colour alone.
function differenceList(text, before, after) {
  return el("ul", { class: "am-differences" }, ...widget.differences(text, before, after).map(({ kind, words }) => {
    const [sign, key] = KINDS[kind];
    return el("li", { dataset: { kind } }, el("span", { class: "am-sign", "aria-hidden": "true", text: sign }),
      el("span", { class: "am-kind", text: say(key) }), el("span", { text: words }));
  }));
}

class Drafts {
  constructor() { this.prefix = `amend-review:${facts.name}:`; }

  get(id) {
    const kept = sessionStorage.getItem(this.prefix + id);
    return kept ? JSON.parse(kept) : { reason: "", output: null };
  }

  set(id, draft) {
    if (!draft.reason && !draft.output) this.drop(id);
    else sessionStorage.setItem(this.prefix + id, JSON.stringify(draft));
  }

  drop(id) { sessionStorage.removeItem(this.prefix + id); }
}

class ItemCard {
  constructor({ onVerdict, onSkip, onStep }) {
    this.drafts = new Drafts();
    this.onVerdict = onVerdict;
    this.item = null;
    this.amending = this.busy = false;
    this.badges = el("div", { class: "am-given-head" });
    this.known = el("p", { class: "am-muted" });
    this.why = el("p", { class: "am-muted am-why" });
    this.text = el("p", { class: "am-text am-quiet", dir: "auto", hidden: widget.showsText });
    this.shown = el("div", { class: "am-side-body" });
    this.proposed = el("div", { class: "am-side-body" });
    this.same = el("p", { class: "am-muted", text: say("review.same") });
    this.differences = el("div");
    this.comment = el("blockquote", { class: "am-quote", "aria-label": say("review.comment") });
    this.answers = el("ol", { class: "am-answers" });
    this.context = el("details", { class: "am-fold" }, el("summary", { text: say("review.answers") }), this.answers);
    this.host = el("div", { class: "am-widget", hidden: true });
    this.editor = widget.edit(this.host, { shownKey: "review.as_proposed", keep: true, onChange: () => { this.keep(); this.refresh(); } });
    this.reason = el("input", { class: "am-input", id: freshId("reason"), placeholder: say("review.reason_placeholder"), maxlength: "500",
      oninput: () => this.keep() });
    this.buildButtons(onSkip, onStep);
    const side = (body, ...more) => el("section", { class: "am-side" }, el("h3"), body, ...more);
    this.sides = [side(this.shown), side(this.proposed, this.same)];
    this.node = el("section", { class: "am-card am-item", "aria-live": "polite", "aria-label": say("review.item"), tabindex: "-1", hidden: true },
      el("div", { class: "am-card-head" }, this.badges, this.known), this.why, this.text,
      el("div", { class: "am-sides" }, ...this.sides),
      this.differences, this.comment, this.context, this.host,
      el("div", { class: "am-field" }, el("label", { for: this.reason.id, class: "am-muted", text: say("review.reason") }), this.reason),
      this.actions);
  }

  buildButtons(onSkip, onStep) {
    const act = (key, letter, run, style = "am-button am-verdict") => el("button", { type: "button", class: style, onclick: run, "aria-keyshortcuts": letter },
      el("span", { text: say(key) }), el("kbd", { text: letter, "aria-hidden": "true" }));
    this.acceptButton = act("review.accept", "a", () => this.onVerdict("accept"), "am-button am-verdict am-primary");
    this.rejectButton = act("review.reject", "r", () => this.onVerdict("reject"));
    this.amendButton = act("review.amend", "m", () => this.amend());
    this.saveButton = act("review.amend_save", "m", () => this.onVerdict("amend"), "am-button am-verdict am-primary");
    this.cancelButton = act("review.amend_cancel", "Esc", () => this.cancel());
    this.skipButton = act("review.skip", "s", onSkip);
    this.previousButton = act("review.previous", "k", () => onStep(-1), "am-tool am-step");
    this.nextButton = act("review.next", "j", () => onStep(1), "am-tool am-step");
    this.judging = [this.acceptButton, this.rejectButton, this.amendButton, this.skipButton];
    this.actions = el("div", { class: "am-actions am-judging" }, ...this.judging, this.saveButton, this.cancelButton,
      el("div", { class: "am-steps" }, this.previousButton, this.nextButton));
  }

  show(item) {
    this.item = item;
    this.node.hidden = !item;
    if (!item) return;
    this.nameSides(item.cleaning ? ["review.found_shown", "review.found_proposed"] : ["review.shown", "review.proposed"]);
    this.badges.replaceChildren(badge(say(item.cleaning ? "review.found" : item.confirmation ? "review.confirmation" : "review.correction"), "pending"),
      item.status === "undecided" ? badge(say("review.undecided"), "undecided") : "");
    this.known.textContent = item.cleaning ? say("review.found_facts", { percent: percentOf(item.confidence) })
      : say("review.facts", { version: item.version, variant: item.variant, percent: percentOf(item.confidence) });
    const reasons = item.reasons.filter((code) => code !== "undecided" || !item.reasons.includes("disagreement"));
    this.why.hidden = !reasons.length;
    this.why.textContent = say("review.why", { reasons: reasons.map((code) => say(WHY[code])).join(say("review.and")) });
    this.text.textContent = item.text;
    widget.view(this.shown, item.text, item.shown, item.proposed, "am-removed");
    widget.view(this.proposed, item.text, item.proposed, item.shown, "am-added");
    this.differences.replaceChildren(differenceList(item.text, item.shown, item.proposed));
    this.differences.hidden = item.confirmation;
    this.same.hidden = !item.confirmation;
    this.comment.hidden = !item.comment;
    this.comment.textContent = item.comment;
    this.showAnswers(item);
    const draft = this.drafts.get(item.id);
    this.reason.value = draft.reason;
    this.reason.placeholder = item.cleaning ? "" : say("review.reason_placeholder"); // nobody reads it as theirs
    this.amending = false;
    if (draft.output) this.amend(draft.output);
    else this.close();
  }

  nameSides(keys) {
    this.sides.forEach((side, place) => {
      side.setAttribute("aria-label", say(keys[place]));
      side.querySelector("h3").textContent = say(keys[place]);
    });
  }

  showAnswers(item) {
    this.context.hidden = !item.answers.length;
    this.answers.replaceChildren(...item.answers.map(({ version, output, confidence }) => {
      const body = el("div");
      const none = widget.emptyKey(output, false);
      widget.view(body, item.text, output, item.proposed, "am-differs");
      return el("li", {}, el("p", { class: "am-muted", text: say("review.answer_of", { version, percent: percentOf(confidence) }) }), body,
        none ? el("p", { class: "am-muted", text: say(none) }) : null);
    }));
  }

  amend(output = null) {
    this.amending = true;
    this.editor.show(this.item.text, this.item.proposed);
    if (output) this.editor.restore(output);
    this.host.hidden = false;
    this.refresh();
    if (!output) this.editor.focus();
  }

  // Gives up what was changed in the widget; the reason stays.
  cancel() {
    this.close();
    this.drafts.set(this.item.id, { reason: this.reason.value, output: null });
    this.amendButton.focus();
  }

  close() {
    this.amending = false;
    this.host.hidden = true;
    this.refresh();
  }

  keep() {
    if (this.item) this.drafts.set(this.item.id, { reason: this.reason.value, output: this.changed() ? this.editor.output() : null });
  }

  changed() { return this.amending && this.editor.changed(); }
  output() { return this.editor.output(); }

  setBusy(busy) {
    this.busy = busy;
    this.refresh();
  }

  refresh() {
    const stuck = this.busy || Boolean(this.item?.gone);
    this.judging.forEach((button) => { button.hidden = this.amending; button.disabled = stuck; });
    this.skipButton.disabled = this.busy;
    this.saveButton.hidden = this.cancelButton.hidden = !this.amending;
    this.cancelButton.disabled = this.busy;
    this.saveButton.disabled = stuck || !this.changed();
    this.previousButton.disabled = this.nextButton.disabled = this.busy || this.amending;
  }
}
