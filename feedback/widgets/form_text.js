// The form for one text: a field that counts code points, a button, examples. It knows nothing of answers.
class TextForm {
  constructor({ onChange, onSend }) {
    this.onChange = onChange;
    this.onSend = onSend;
    this.asking = 0;
    this.input = el("textarea", { id: "am-input", class: "am-input am-main-input", rows: "4", "aria-describedby": "am-count-spoken", dir: "auto",
      placeholder: facts.placeholder || say("page.placeholder"), oninput: () => this.typed(), onkeydown: (event) => this.pressed(event) });
    this.count = el("span", { class: "am-count", "aria-hidden": "true" });
    this.spoken = el("span", { id: "am-count-spoken", class: "am-hidden" });
    this.button = el("button", { type: "button", class: "am-button am-primary am-ask", text: say("page.ask"), onclick: () => this.onSend() });
    this.above = el("div", { hidden: true });
    this.node = el("div", { class: "am-form-body" },
      this.above,
      el("div", { class: "am-label-row" }, el("label", { for: "am-input", text: say("page.text") }), this.count, this.spoken),
      this.input,
      el("div", { class: "am-form-foot" }, this.button,
        el("span", { class: "am-muted am-shortcut", text: say("page.shortcut", { modifier: onMac ? "⌘" : "Ctrl" }) })));
  }

  get mayBeEmpty() { return false; }
  value() { return this.input.value; }
  over() { return countOf(this.input.value) - facts.maxChars; }
  ready() { return this.asking === 0 && this.over() <= 0 && (this.mayBeEmpty || this.input.value.trim() !== ""); }
  is(text) { return text === this.input.value; }
  draft() { return this.input.value; }
  restore(draft) { this.input.value = draft; this.typed(); }
  answered() {}
  masked(text) { this.input.value = text; this.typed(); } // identifiers were masked: this is what everybody sees from now on

  take(text) {
    this.input.value = text;
    this.typed();
    this.input.focus({ preventScroll: true });
  }

  busy(asking) {
    this.asking = asking;
    this.button.textContent = say(asking > 0 ? "page.asking" : "page.ask");
    this.typed();
  }

  typed() {
    const over = this.over();
    const length = over + facts.maxChars;
    this.count.textContent = over > 0 ? say("page.too_long", { over }) : say("page.count", { count: length, limit: facts.maxChars });
    this.count.classList.toggle("am-over", over > 0);
    this.spoken.textContent = over > 0 ? this.count.textContent : say("page.count_spoken", { count: length, limit: facts.maxChars });
    this.input.setAttribute("aria-invalid", String(over > 0));
    this.button.disabled = !this.ready();
    this.onChange();
  }

  pressed(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !composing(event)) {
      event.preventDefault();
      if (!this.button.disabled) this.onSend();
    }
  }
}

const form = { build: (tools) => new TextForm(tools) };
