// The widget that picks one label out of several. It knows nothing of servers.
const SEARCH_FROM = 9; // with more labels than this, a search field helps

class ChoiceEditor {
  constructor(host, { onChange, shownKey = "choice.shown" }) {
    this.onChange = onChange;
    this.picked = this.shownLabel = null;
    this.buttons = facts.labels.map((label, i) => colourIn(el("button", { type: "button", class: "am-option", role: "radio",
      onclick: () => this.pick(label.name) }, el("kbd", { "aria-hidden": "true", text: i < 9 ? String(i + 1) : "" }),
    el("span", { class: "am-option-words", text: label.words }), el("span", { class: "am-option-shown", text: say(shownKey), hidden: true })), label));
    this.list = el("div", { class: "am-options", role: "radiogroup", "aria-label": say("choice.labels") }, ...this.buttons);
    this.search = el("input", { class: "am-input am-search", type: "search", placeholder: say("choice.search"), "aria-label": say("choice.search"),
      oninput: () => this.draw(), hidden: facts.labels.length <= SEARCH_FROM });
    this.none = el("p", { class: "am-muted", role: "status", hidden: true });
    this.resetButton = el("button", { type: "button", class: "am-tool", text: say("spans.reset"), onclick: () => this.pick(this.shownLabel) });
    this.help = el("div", { class: "am-help" }, el("p", { text: say("choice.hint") }));
    this.head = el("div", { class: "am-choice-head" }, this.search, this.resetButton);
    host.replaceChildren(this.head, this.list, this.none, this.help);
    host.addEventListener("keydown", (event) => this.pressed(event));
  }

  show(text, output, editable = true) {
    this.picked = this.shownLabel = output.label;
    this.search.value = "";
    this.lock(!editable);
  }

  lock(locked) {
    this.locked = locked;
    this.help.hidden = locked;
    this.search.hidden = locked || facts.labels.length <= SEARCH_FROM;
    this.draw();
  }

  output() { return { label: this.picked }; }
  restore(output) { this.pick(output.label); } // what a person had made of it before
  changed() { return this.picked !== this.shownLabel; }
  focus() { this.buttons.find((button) => button.tabIndex === 0)?.focus(); }

  pick(name) {
    if (this.locked) return;
    this.picked = name;
    this.draw();
    this.onChange();
  }

  // The labels that the search leaves, with the picked one always among them.
  visible() {
    const wanted = this.search.value.trim().toLowerCase();
    return facts.labels.filter((label) => label.name === this.picked || `${label.words}\n${label.name}`.toLowerCase().includes(wanted));
  }

  pressed(event) {
    if (this.locked || composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const inSearch = event.target === this.search;
    const names = this.visible().map((label) => label.name);
    const at = names.indexOf(this.picked);
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    if (event.key === "Escape" && !this.search.value && !this.changed()) return;
    if (event.key === "Escape") { this.search.value = ""; this.pick(this.shownLabel); }
    else if (inSearch && event.key === "Enter") this.pick(names.find((name) => name !== this.picked) ?? this.picked);
    else if (inSearch) return;
    else if (/^[1-9]$/.test(event.key) && facts.labels[event.key - 1]) this.pick(facts.labels[event.key - 1].name);
    else if (steps[event.key]) this.pick(names[(at + steps[event.key] + names.length) % names.length]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (!inSearch) this.focus();
  }

  draw() {
    const seen = new Set(this.visible().map((label) => label.name));
    this.buttons.forEach((button, i) => {
      const { name } = facts.labels[i];
      button.hidden = this.locked ? name !== this.picked && name !== this.shownLabel : !seen.has(name);
      button.disabled = this.locked;
      button.tabIndex = name === this.picked ? 0 : -1;
      button.setAttribute("aria-checked", String(name === this.picked));
      button.querySelector(".am-option-shown").hidden = name !== this.shownLabel;
    });
    const found = [...seen].some((name) => name !== this.picked) || !this.search.value;
    this.none.hidden = found;
    this.none.textContent = found ? "" : say("choice.search_none", { text: this.search.value });
    this.resetButton.hidden = this.locked || !this.changed();
    this.head.hidden = this.search.hidden && this.resetButton.hidden;
  }
}

const widget = {
  showsText: false,
  emptyKey: () => null,
  differsKey: null, // two labels that differ are seen at once
  edit: (host, tools) => new ChoiceEditor(host, tools),
  view(host, text, output, other = null, moodOfExtra = "") {
    const label = labelOf(output.label);
    const mood = other && other.label !== output.label ? moodOfExtra : "";
    host.replaceChildren(colourIn(el("span", { class: `am-picked ${mood}`, text: label.words }), label));
  },
  // The difference between two outputs in words, as the span editor's.
  differences(text, before, after) {
    if (before.label === after.label) return [];
    return [{ kind: "changed", words: say("spans.became", { text: labelOf(before.label).words, words: labelOf(after.label).words }) }];
  },
};
