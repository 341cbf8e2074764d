// The widget for answers out of a catalogue: what was answered, what else was near ("did you mean"), none of them, or words of one's own.
const NEAR = 6; // answers that a search lists

class AnswersEditor {
  constructor(host, { onChange }) {
    this.onChange = onChange;
    this.shown = { answer: "", offered: [] };
    this.picked = "";
    this.found = []; // answers of the search that were picked: they stay in the list
    this.options = el("div", { class: "am-picks", role: "radiogroup", "aria-label": say("answers.pick") });
    this.search = el("input", { class: "am-input am-search", type: "search", placeholder: say("answers.search"), "aria-label": say("answers.search"),
      oninput: () => this.drawNear() });
    this.near = el("div", { class: "am-answers-near" });
    const id = freshId("wording");
    this.wording = el("textarea", { id, class: "am-input", rows: "4", dir: "auto", oninput: () => this.onChange() });
    this.writeLabel = el("label", { for: id });
    this.writeButton = el("button", { type: "button", class: "am-tool", onclick: () => this.write(true) });
    this.keepButton = el("button", { type: "button", class: "am-tool", text: say("answers.write_cancel"), onclick: () => this.write(false) });
    this.writing = el("div", { class: "am-answers-writing", hidden: true }, this.writeLabel, this.wording, this.keepButton);
    this.resetButton = el("button", { type: "button", class: "am-tool", text: say("spans.reset"), onclick: () => this.restore(this.shown) });
    this.tools = el("div", { class: "am-tools" }, this.writeButton, this.resetButton);
    host.replaceChildren(this.options, this.search, this.near, this.tools, this.writing);
  }

  show(text, output, editable = true) {
    this.shown = { ...output, offered: output.offered ?? (output.answer ? [{ id: output.answer, title: output.title ?? "", text: output.text ?? "" }] : []) };
    this.locked = !editable;
    this.found = [];
    this.search.value = "";
    this.restore(this.shown, false);
  }

  lock(locked) { this.locked = locked; this.draw(); }
  changed() { return this.picked !== this.shown.answer || (!this.writing.hidden && this.wording.value.trim() !== this.textOf(this.picked).trim()); }
  output() { return { answer: this.picked, text: this.writing.hidden || this.wording.value.trim() === this.textOf(this.picked).trim() ? "" : this.wording.value.trim() }; }
  focus() { this.options.querySelector("[tabindex='0']")?.focus(); }

  restore(output, tell = true) {
    this.picked = output.answer;
    const own = output !== this.shown && output.text && output.text !== this.textOf(output.answer);
    this.writing.hidden = !own;
    this.wording.value = own ? output.text : "";
    if (this.picked && !this.known(this.picked)) this.found.push(this.ofLabel(this.picked));
    this.draw();
    if (tell) this.onChange();
  }

  ofLabel(id) { return { id, title: labelOf(id).words, text: "" }; }
  list() { return [...this.shown.offered, ...this.found]; }
  known(id) { return this.list().find((entry) => entry.id === id); }
  textOf(id) { return this.known(id)?.text ?? ""; }

  pick(id) {
    if (this.locked) return;
    if (id && !this.known(id)) this.found.push(this.ofLabel(id));
    this.picked = id;
    this.write(false, false);
    this.draw();
    this.onChange();
    this.focus();
  }

  write(open, tell = true) {
    this.writing.hidden = !open;
    if (open) {
      this.wording.value = this.textOf(this.picked);
      this.wording.focus();
    }
    this.draw();
    if (tell) this.onChange();
  }

  draw() {
    const shownId = this.shown.answer;
    const entries = this.locked ? this.list().filter((entry) => entry.id === this.picked || entry.id === shownId) : this.list();
    const options = entries.map((entry) => this.option(entry));
    if (!this.locked || this.picked === "") options.push(this.option({ id: "", title: say("answers.none"), text: say("answers.none_hint") }));
    this.options.replaceChildren(...this.headed(options, entries));
    this.search.hidden = this.near.hidden = this.locked || facts.labels.length <= this.shown.offered.length;
    this.tools.hidden = this.locked;
    this.writeButton.hidden = !this.writing.hidden;
    this.writeButton.textContent = say(this.picked && this.textOf(this.picked) ? "answers.edit" : "answers.write");
    this.writeLabel.textContent = say(this.picked ? "answers.edit_label" : "answers.write_label");
    this.wording.disabled = this.locked;
    this.keepButton.hidden = this.locked;
    this.resetButton.hidden = !this.changed();
    this.drawNear();
  }

  // What was answered stands first; the others are what may have been meant.
  headed(options, entries) {
    if (this.locked || entries.length === 0) return options;
    const first = entries[0].id === this.shown.answer ? 1 : 0;
    const heading = el("p", { class: "am-muted", text: say(first ? "answers.did_you_mean" : "answers.nearest") });
    return entries.length > first ? [...options.slice(0, first), heading, ...options.slice(first)] : options;
  }

  option(entry) {
    const chosen = entry.id === this.picked;
    const node = el("button", { type: "button", class: "am-answer-option", role: "radio", "aria-checked": String(chosen), tabindex: chosen ? "0" : "-1",
      onclick: () => this.pick(entry.id), onkeydown: (event) => this.pressed(event) },
    el("span", { class: "am-answer-title", dir: "auto", text: entry.title || entry.id }),
    entry.text ? el("span", { class: "am-answer-text", dir: "auto", text: entry.text }) : null);
    node.disabled = this.locked;
    return node;
  }

  pressed(event) {
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    if (!steps[event.key] || this.locked) return;
    const ids = [...this.list().map((entry) => entry.id), ""];
    event.preventDefault();
    this.pick(ids[(ids.indexOf(this.picked) + steps[event.key] + ids.length) % ids.length]);
  }

  drawNear() {
    const wanted = this.search.value.trim().toLowerCase();
    const ids = new Set(this.list().map((entry) => entry.id));
    const near = wanted ? facts.labels.filter((label) => !ids.has(label.name) && `${label.words}\n${label.name}`.toLowerCase().includes(wanted)).slice(0, NEAR) : [];
    this.near.replaceChildren(...near.map((label) => el("button", { type: "button", class: "am-tool", dir: "auto", text: label.words,
      onclick: () => { this.search.value = ""; this.pick(label.name); } })),
    ...(wanted && !near.length ? [el("p", { class: "am-muted", role: "status", text: say("answers.search_none", { text: this.search.value }) })] : []));
  }
}

// The answer's title and words, as people read them.
function answerWords(output) {
  if (!output.answer && !output.text) return { title: say("answers.none"), text: "" };
  return { title: output.title || (output.answer ? labelOf(output.answer).words : say("answers.own")), text: output.text ?? "" };
}

const widget = {
  showsText: false,
  emptyKey: () => null, // an answer without an entry comes with a note that says so
  differsKey: null,
  edit: (host, tools) => new AnswersEditor(host, tools),
  view(host, text, output, other = null, moodOfExtra = "") {
    const { title, text: said } = answerWords(output);
    const mood = other && other.answer !== output.answer ? moodOfExtra : "";
    host.replaceChildren(el("div", { class: `am-answer-view ${mood}`, dir: "auto" },
      el("strong", { text: title }), said ? el("p", { class: "am-answer-text", text: said }) : null));
  },
  differences(text, before, after) {
    const [old, now] = [answerWords(before), answerWords(after)];
    if (old.title !== now.title) return [{ kind: "changed", words: say("spans.became", { text: old.title, words: now.title }) }];
    return old.text === now.text || !now.text ? [] : [{ kind: "changed", words: say("answers.reworded") }];
  },
};
