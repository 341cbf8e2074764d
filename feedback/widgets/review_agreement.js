// How far people agree, by label: loaded when it is opened.
class AgreementFold {
  constructor() {
    this.body = el("div", { class: "am-agreement" });
    this.node = el("details", { class: "am-card am-fold" }, el("summary", { text: say("review.agreement") }), this.body);
    this.node.addEventListener("toggle", () => { if (this.node.open) this.load(); });
  }

  async load() {
    const answer = await ask("agreement", {});
    if (answer.lost || answer.error) this.body.replaceChildren(el("p", { class: "am-muted", text: answer.error ?? say("review.lost") }));
    else this.show(answer.rows);
  }

  show(rows) {
    if (!rows.length) {
      this.body.replaceChildren(el("p", { class: "am-muted", text: say("review.agreement_none") }));
      return;
    }
    const number = (value) => (value === null ? say("review.agreement_undefined") : new Intl.NumberFormat(facts.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value));
    const row = (one) => el("tr", {}, el("th", { scope: "row", text: one.label ? labelOf(one.label).words : say("review.agreement_all") }),
      el("td", { text: number(one.value) }), el("td", { text: String(one.texts) }), el("td", { text: String(one.said) }));
    const head = ["review.agreement_label", "review.agreement_value", "review.agreement_texts", "review.agreement_said"].map((key) => el("th", { scope: "col", text: say(key) }));
    this.body.replaceChildren(
      el("p", { class: "am-muted", text: say(rows[0].measure === "alpha" ? "review.agreement_alpha" : "review.agreement_f1") }),
      el("table", { class: "am-table" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows.map(row))));
  }
}
