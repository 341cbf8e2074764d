// The form for a list: an interest, which may stay empty, and what the person did before, as the server knows it from what they gave.
const MOST_DEEDS = 200;

class InterestForm extends TextForm {
  constructor(tools) {
    super(tools);
    this.pending = null; // what the answer on the page belongs to
    this.visit = this.newVisit();
    this.input.rows = 2;
    this.node.querySelector("label").textContent = say("interest.label");
    this.button.textContent = say("interest.ask");
    this.uses = el("p", { class: "am-muted" });
    this.above.className = "am-thread-box";
    this.above.append(this.uses);
  }

  get mayBeEmpty() { return true; }
  // Letters, and many: histories are alike in words, and two people's lists must not be taken for one (feedback/duplicates.py).
  newVisit() { return Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => String.fromCharCode(97 + (byte % 26))).join(""); }
  value() { return { text: this.input.value.trim() ? this.input.value : "", history: this.history(), visit: this.visit }; }
  is(text) { return this.pending !== null && this.pending.text === text && this.input.value === this.pending.asked; }
  masked() {}

  // Oldest first; what the person took back is not counted. `given` is the list at the page's end.
  history() {
    const standing = given.items.filter((item) => item.status !== "withdrawn").reverse();
    const deeds = new Map();
    for (const { output } of standing) {
      for (const [ids, did] of [[output.liked, "liked"], [output.dismissed, "dismissed"]]) {
        for (const item of ids ?? []) { deeds.delete(item); deeds.set(item, did); }
      }
    }
    return [...deeds].map(([item, did]) => ({ item, did })).slice(-MOST_DEEDS);
  }

  answered(answer) {
    this.pending = { text: answer.text, asked: this.input.value };
    this.visit = this.newVisit();
    const { history } = answer.input;
    const count = history.filter(({ did }) => did === "liked").length;
    this.uses.textContent = history.length ? say("interest.uses", { count, left: history.length - count }) : say("interest.uses_none");
    this.above.hidden = false;
    this.onChange();
  }

  busy(asking) {
    super.busy(asking);
    if (asking === 0) this.button.textContent = say("interest.ask");
  }
}

form.build = (tools) => new InterestForm(tools);
