// The form for a question in a short conversation: what was asked before goes along, until the person begins anew.
const MOST_BEFORE = 4;

class DialogueForm extends TextForm {
  constructor(tools) {
    super(tools);
    this.before = [];
    this.pending = null; // what the answer on the page belongs to
    this.thread = el("ol", { class: "am-thread" });
    this.anew = el("button", { type: "button", class: "am-tool", text: say("dialogue.anew"), onclick: () => this.beginAnew() });
    this.follow = el("p", { class: "am-muted", text: say("dialogue.follow") });
    this.above.className = "am-thread-box";
    this.above.replaceChildren(el("div", { class: "am-card-head" }, this.follow, this.anew), this.thread);
  }

  value() { return this.before.length ? { text: this.input.value, before: [...this.before] } : this.input.value; }
  is(text) { return this.pending !== null && this.pending.text === text && (this.input.value === "" || this.input.value === this.pending.asked); }

  masked() {} // what was asked stands in the thread as it was stored

  answered(answer) {
    const asked = typeof answer.input === "string" ? answer.input : answer.input.text;
    this.pending = { text: answer.text, asked };
    this.before = [...(typeof answer.input === "string" ? [] : answer.input.before), asked].slice(-MOST_BEFORE);
    this.thread.replaceChildren(...this.before.map((text) => el("li", { class: "am-text am-quiet", dir: "auto", text })));
    this.above.hidden = false;
    this.input.value = "";
    this.typed();
  }

  beginAnew() {
    this.before = [];
    this.pending = null;
    this.above.hidden = true;
    this.input.value = "";
    this.typed();
    this.input.focus();
  }

  take(text) {
    this.beginAnew();
    super.take(text);
  }
}

form.build = (tools) => new DialogueForm(tools);
