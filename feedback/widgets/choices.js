// The widget that picks one label of each of several heads (a label is "head/label"). It knows nothing of servers.
// What is not picked is not said: with the first pick all other heads go to "no opinion", and any can be confirmed by picking it.
const SEARCH_ABOVE = 8; // a head with more labels than this has a search field

// The heads in the order of their first label: { name, words, labels: [{ name, own, words, colour }] }.
const heads = (() => {
  const found = new Map();
  for (const label of facts.labels) {
    const at = label.name.indexOf("/");
    const [name, own] = [label.name.slice(0, at), label.name.slice(at + 1)];
    if (!found.has(name)) found.set(name, { name, words: label.group || name, labels: [] });
    found.get(name).labels.push({ ...label, own, words: label.words === label.name ? own : label.words });
  }
  return [...found.values()];
})();
const labelOfHead = (head, own) => head.labels.find((label) => label.own === own) ?? { own, words: own, colour: facts.labels[0].colour };

// One head: its title, a search, its labels and "no opinion" as one group of radio buttons. `picked` null: no opinion.
class HeadGroup {
  constructor(head, { onPick, shownKey }) {
    this.head = head;
    this.onPick = onPick;
    this.picked = this.shown = null;
    this.locked = false;
    const title = freshId("head");
    const option = (own, words, key, more) => el("button", { type: "button", class: "am-option", role: "radio", onclick: () => this.pick(own) },
      el("kbd", { "aria-hidden": "true", text: key }), el("span", { class: "am-option-words", text: words }), ...more);
    this.sure = el("span", { class: "am-option-shown" });
    this.options = head.labels.map((label, i) => ({ own: label.own, words: `${label.words}\n${label.own}`.toLowerCase(),
      button: colourIn(option(label.own, label.words, i < 9 ? String(i + 1) : "", [el("span", { class: "am-option-shown", text: say(shownKey), hidden: true })]), label) }));
    this.options.push({ own: null, words: "", button: option(null, say("choices.no_opinion"), "0", []) });
    this.options.at(-1).button.classList.add("am-no-opinion");
    this.search = el("input", { class: "am-input am-search", type: "search", placeholder: say("choice.search"), "aria-label": say("choice.search"),
      oninput: () => this.draw() });
    this.none = el("p", { class: "am-muted", role: "status", hidden: true });
    this.list = el("div", { class: "am-options", role: "radiogroup", "aria-labelledby": title }, ...this.options.map(({ button }) => button));
    this.node = el("section", { class: "am-head", dataset: { head: head.name } },
      el("div", { class: "am-head-title" }, el("h3", { id: title, text: head.words }), this.sure), this.search, this.list, this.none);
    this.node.addEventListener("keydown", (event) => this.pressed(event));
  }

  show(shown, confidence) {
    this.picked = this.shown = shown ?? null;
    this.search.value = "";
    this.sure.textContent = confidence === undefined ? "" : say("page.percent", { percent: percentOf(confidence) });
  }

  pick(own) { if (!this.locked) this.onPick(this, own); }
  focus() { this.options.find(({ button }) => button.tabIndex === 0)?.button.focus(); }

  // What the search leaves; the picked one, and "no opinion", are always there.
  visible() {
    const wanted = this.search.value.trim().toLowerCase();
    return this.options.filter(({ own, words }) => own === this.picked || own === null || words.includes(wanted));
  }

  pressed(event) {
    if (this.locked || composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const inSearch = event.target === this.search;
    const there = this.visible();
    const at = there.findIndex(({ own }) => own === this.picked);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    if (inSearch && event.key === "Escape" && this.search.value) { this.search.value = ""; this.draw(); }
    else if (inSearch && event.key === "Enter") this.pick((there.find(({ own }) => own !== this.picked && own !== null) ?? there[at]).own);
    else if (inSearch) return;
    else if (digit === 0) this.pick(null);
    else if (digit !== null && this.head.labels[digit - 1]) this.pick(this.head.labels[digit - 1].own);
    else if (step) this.pick(there[(at + step + there.length) % there.length].own);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (!inSearch) this.focus();
  }

  draw() {
    const seen = new Set(this.visible().map(({ own }) => own));
    for (const { own, button } of this.options) {
      button.hidden = this.locked ? own !== this.picked && (own === null || own !== this.shown) : !seen.has(own);
      button.disabled = this.locked;
      button.tabIndex = own === this.picked ? 0 : -1;
      button.setAttribute("aria-checked", String(own === this.picked));
      const mark = button.querySelector(".am-option-shown");
      if (mark) mark.hidden = own !== this.shown;
    }
    this.search.hidden = this.locked || this.head.labels.length <= SEARCH_ABOVE;
    const found = !this.search.value || [...seen].some((own) => own !== this.picked && own !== null);
    this.none.hidden = found;
    this.none.textContent = found ? "" : say("choice.search_none", { text: this.search.value });
  }
}

class ChoicesEditor {
  // keep: what was shown stands until it is changed (a reviewer amends what somebody else proposed).
  constructor(host, { onChange, shownKey = "choice.shown", keep = false }) {
    this.onChange = onChange;
    this.keep = keep;
    this.groups = heads.map((head) => new HeadGroup(head, { shownKey, onPick: (group, own) => this.pick(group, own) }));
    this.resetButton = el("button", { type: "button", class: "am-tool", text: say("spans.reset"), onclick: () => this.reset() });
    this.help = el("div", { class: "am-help" }, el("p", { text: say("choices.hint") }), el("p", { class: "am-keys", text: say("choices.keys") }));
    this.tools = el("div", { class: "am-choice-head" }, this.resetButton);
    host.replaceChildren(...this.groups.map(({ node }) => node), this.tools, this.help);
    host.addEventListener("keydown", (event) => this.pressed(event));
  }

  show(text, output, editable = true) {
    this.touched = false;
    for (const group of this.groups) group.show(output.labels[group.head.name], output.confidences?.[group.head.name]);
    this.lock(!editable);
  }

  lock(locked) {
    this.locked = locked;
    this.help.hidden = locked;
    for (const group of this.groups) group.locked = locked;
    this.draw();
  }

  output() {
    return { labels: Object.fromEntries(this.groups.filter(({ picked }) => picked !== null).map(({ head, picked }) => [head.name, picked])) };
  }

  // What a person had made of it before.
  restore(output) {
    this.touched = true;
    for (const group of this.groups) group.picked = output.labels[group.head.name] ?? null;
    this.draw();
    this.onChange();
  }

  changed() { return this.groups.some(({ picked, shown }) => picked !== shown); }
  focus() { this.groups[0]?.focus(); }

  pick(group, own) {
    if (!this.touched && !this.keep) for (const other of this.groups) other.picked = null;
    this.touched = true;
    group.picked = own;
    if (this.groups.every(({ picked }) => picked === null)) this.back(); // nothing said at all is where it began
    this.draw();
    this.onChange();
  }

  back() {
    this.touched = false;
    for (const group of this.groups) group.picked = group.shown;
  }

  reset() {
    this.back();
    for (const group of this.groups) group.search.value = "";
    this.draw();
    this.onChange();
  }

  pressed(event) {
    if (this.locked || event.key !== "Escape" || composing(event) || !this.changed()) return;
    this.reset();
    event.preventDefault();
    event.stopPropagation();
  }

  draw() {
    for (const group of this.groups) group.draw();
    this.tools.hidden = this.locked || !this.changed();
  }
}

const widget = {
  showsText: false,
  emptyKey: () => null,
  differsKey: null, // labels that differ are seen at once
  edit: (host, tools) => new ChoicesEditor(host, tools),
  view(host, text, output, other = null, moodOfExtra = "") {
    const said = heads.filter((head) => head.name in output.labels);
    host.replaceChildren(el("dl", { class: "am-heads" }, ...said.map((head) => {
      const label = labelOfHead(head, output.labels[head.name]);
      const theirs = other?.labels[head.name]; // of a head that the other says nothing of there is no difference
      const mood = theirs !== undefined && theirs !== label.own ? moodOfExtra : "";
      return el("div", {}, el("dt", { text: head.words }), el("dd", {}, colourIn(el("span", { class: `am-picked ${mood}`, text: label.words }), label)));
    })));
  },
  // The difference between two outputs in words, head by head; a head that one of them says nothing of does not differ.
  differences(text, before, after) {
    const both = heads.filter((head) => head.name in before.labels && head.name in after.labels);
    return both.filter((head) => before.labels[head.name] !== after.labels[head.name]).map((head) => {
      const [was, is] = [before, after].map((output) => labelOfHead(head, output.labels[head.name]).words);
      return { kind: "changed", words: say("choices.of", { label: head.words, words: say("spans.became", { text: was, words: is }) }) };
    });
  },
};
