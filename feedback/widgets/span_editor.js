// The widget that marks parts of a text. Offsets are code points, end exclusive. It knows nothing of servers.
const inOrder = (spans) => spans.slice().sort((a, b) => a.start - b.start || a.end - b.end);
const bare = (spans) => inOrder(spans).map(({ start, end, label }) => ({ start, end, label }));
const sameSpans = (one, other) => JSON.stringify(bare(one)) === JSON.stringify(bare(other));

const SIGNS = { "": "", "am-added": "+ ", "am-removed": "− ", "am-changed": "≠ ", "am-differs": "" }; // what a mark's colour says, said without colour
const JOINER = "\u2060"; // keeps a label on the line of its mark's last word

// Draw a text with its marks; `chosen` is a range that is shown as selected, `mood(span)` may name one of SIGNS.
function drawSpans(box, points, spans, chosen = null, mood = () => "") {
  const cut = (start, end) => {
    const edges = [start, ...[chosen?.start, chosen?.end].filter((edge) => edge > start && edge < end), end];
    return edges.slice(1).map((edge, i) => {
      const inside = chosen && edges[i] >= chosen.start && edge <= chosen.end;
      return el("span", { class: inside ? "am-chosen" : null, text: points.slice(edges[i], edge).join("") });
    });
  };
  const nodes = [];
  let at = 0;
  inOrder(spans).forEach((span) => {
    if (span.start < at || span.end > points.length) return;
    if (span.start > at) nodes.push(...cut(at, span.start));
    const label = labelOf(span.label);
    const sure = span.confidence === undefined ? "" : ` ${say("page.percent", { percent: percentOf(span.confidence) })}`;
    // The label stands in an attribute that CSS draws, so that the box's text is exactly the person's text.
    const mark = el("mark", { class: `am-mark ${mood(span)}`, dataset: { label: JOINER + SIGNS[mood(span)] + label.words + sure } }, ...cut(span.start, span.end));
    nodes.push(colourIn(mark, label));
    at = span.end;
  });
  if (at < points.length) nodes.push(...cut(at, points.length));
  box.replaceChildren(...nodes);
}

class SpanEditor {
  constructor(host, { onChange }) {
    this.onChange = onChange;
    this.points = [];
    this.spans = [];
    this.shown = [];
    this.past = [];
    this.chosen = null;
    const hint = freshId("hint");
    this.live = el("span", { class: "am-hidden", "aria-live": "polite" });
    this.chips = facts.labels.map((label, i) =>
      colourIn(el("button", { type: "button", class: "am-chip", onclick: () => this.label(label.name) },
        i < 9 ? el("kbd", { text: String(i + 1), "aria-hidden": "true" }) : null, el("span", { text: label.words })), label));
    const tool = (key, act) => el("button", { type: "button", class: "am-tool", text: say(key), onclick: act });
    this.removeButton = tool("spans.remove", () => this.remove());
    this.undoButton = tool("spans.undo", () => this.undo());
    this.resetButton = tool("spans.reset", () => this.change(this.shown));
    this.bar = el("div", { class: "am-bar", role: "toolbar", "aria-label": say("spans.labels") },
      el("div", { class: "am-chips" }, ...this.chips),
      el("div", { class: "am-tools" }, this.removeButton, this.undoButton, this.resetButton));
    this.bar.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the text's selection and focus
    this.box = el("div", { class: "am-text", dir: "auto", tabindex: "0", role: "group", "aria-label": say("spans.text"), "aria-describedby": hint });
    this.help = el("div", { class: "am-help", id: hint }, el("p", { text: say("spans.hint") }), el("p", { class: "am-keys", text: say("spans.keys") }));
    host.replaceChildren(this.bar, this.box, this.help, this.live);
    this.box.addEventListener("click", (event) => this.clicked(event));
    host.addEventListener("keydown", (event) => this.pressed(event));
    const follow = () => (this.box.isConnected ? this.follow() : document.removeEventListener("selectionchange", follow));
    setTimeout(() => document.addEventListener("selectionchange", follow)); // once the box is in the document
  }

  // -- what the page asks of a widget
  show(text, output, editable = true) {
    this.points = codePoints(text);
    this.words = piecesOf(text, "word");
    this.graphemes = piecesOf(text, "grapheme");
    this.shown = inOrder(output.spans);
    this.spans = this.shown;
    this.past = [];
    this.chosen = null;
    this.lock(!editable);
  }

  lock(locked) {
    this.locked = locked;
    if (locked) this.chosen = null;
    this.bar.hidden = this.help.hidden = locked;
    this.draw();
  }

  output() { return { spans: bare(this.spans) }; }
  restore(output) { this.change(output.spans); } // what a person had made of it before
  changed() { return !sameSpans(this.spans, this.shown); }
  focus() { this.box.focus(); }

  // -- changes
  change(spans) {
    this.past.push(this.spans);
    this.spans = inOrder(spans);
    this.draw();
    this.onChange();
  }

  label(name) {
    if (!this.chosen || this.locked) return;
    const { start, end } = this.chosen;
    const apart = this.spans.filter((span) => span.end <= start || span.start >= end); // a new mark replaces what it overlaps
    window.getSelection().removeAllRanges();
    this.change([...apart, { start, end, label: name }]);
    this.tell("spans.selected_labelled", labelOf(name).words);
    this.box.focus({ preventScroll: true });
  }

  remove() {
    const hit = this.marked();
    if (!hit.length || this.locked) return;
    this.change(this.spans.filter((span) => !hit.includes(span)));
    this.tell("spans.removed");
    this.box.focus({ preventScroll: true });
  }

  undo() {
    if (!this.past.length || this.locked) return;
    this.spans = this.past.pop();
    this.draw();
    this.live.textContent = say("spans.undone");
    this.onChange();
  }

  marked() { return this.chosen ? this.spans.filter((span) => span.start < this.chosen.end && span.end > this.chosen.start) : []; }

  // -- selecting
  choose(range, native = false) {
    this.chosen = range;
    if (native) this.refreshBar();
    else {
      window.getSelection().removeAllRanges();
      this.draw();
      this.box.querySelector(".am-chosen")?.scrollIntoView({ block: "nearest" });
    }
    if (!range) return;
    const exact = this.spans.find((span) => span.start === range.start && span.end === range.end);
    this.tell(exact ? "spans.selected_labelled" : "spans.selected", exact && labelOf(exact.label).words);
  }

  // The place of a DOM position in the text: the box holds nothing but the text, so its length up to there is the answer.
  placeOf(node, offset) {
    const range = document.createRange();
    range.selectNodeContents(this.box);
    range.setEnd(node, offset);
    return countOf(range.toString());
  }

  // The browser's own selection: by mouse, by a finger's handles, by a screen reader.
  follow() {
    const selection = window.getSelection();
    if (this.locked || !selection.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    if (!range.intersectsNode(this.box)) return;
    const within = (node) => this.box.contains(node);
    if (!within(range.startContainer) && !within(range.endContainer)) return;
    let start = within(range.startContainer) ? this.placeOf(range.startContainer, range.startOffset) : 0;
    let end = within(range.endContainer) ? this.placeOf(range.endContainer, range.endOffset) : this.points.length;
    while (start < end && !this.points[start].trim()) start += 1;
    while (end > start && !this.points[end - 1].trim()) end -= 1;
    if (end <= start) return;
    this.anchor = { start, end };
    this.box.querySelectorAll(".am-chosen").forEach((piece) => piece.classList.remove("am-chosen")); // ours gives way; a redraw would end it
    this.choose({ start, end }, true);
  }

  clicked(event) {
    const selection = window.getSelection();
    if (this.locked || (!selection.isCollapsed && this.box.contains(selection.anchorNode))) return;
    const at = document.caretPositionFromPoint?.(event.clientX, event.clientY);
    const range = at ? null : document.caretRangeFromPoint?.(event.clientX, event.clientY);
    const [node, offset] = at ? [at.offsetNode, at.offset] : [range?.startContainer, range?.startOffset];
    if (!node || !this.box.contains(node)) return;
    const place = this.placeOf(node, offset);
    const span = this.spans.find((s) => s.start <= place && place <= s.end && event.target.closest(".am-mark"));
    const word = this.words.find((w) => w.start <= place && place < w.end) ?? this.words.find((w) => w.end === place);
    if (event.shiftKey && this.chosen && word) {
      this.choose({ start: Math.min(this.anchor.start, word.start), end: Math.max(this.anchor.end, word.end) });
      return;
    }
    const target = span ?? word ?? null;
    this.anchor = target && { start: target.start, end: target.end };
    this.choose(this.anchor);
  }

  // -- the keyboard
  pressed(event) {
    if (this.locked || composing(event)) return;
    const acts = { ArrowRight: () => this.move(event, 1), ArrowLeft: () => this.move(event, -1), ArrowDown: () => this.jump(1),
      ArrowUp: () => this.jump(-1), Home: () => this.go(this.words[0]), End: () => this.go(this.words.at(-1)),
      Delete: () => this.remove(), Backspace: () => this.remove(), Escape: () => (this.chosen ? this.choose(null) : false) };
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") this.undo();
    else if (event.ctrlKey || event.metaKey) return;
    else if (/^[1-9]$/.test(event.key) && facts.labels[event.key - 1]) this.label(facts.labels[event.key - 1].name);
    else if (event.target === this.box && acts[event.key]) { if (acts[event.key]() === false) return; }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  go(piece) {
    if (!piece) return;
    const span = this.spans.find((s) => s.start <= piece.start && piece.end <= s.end);
    this.anchor = { start: piece.start, end: piece.end };
    this.choose(span ? { start: span.start, end: span.end } : this.anchor);
  }

  jump(step) {
    const at = this.chosen ?? { start: -1, end: 0 };
    const next = step > 0 ? this.spans.find((s) => s.start >= at.end) : this.spans.findLast((s) => s.end <= at.start);
    if (!next) return false;
    this.go({ start: next.start, end: next.end });
    return true;
  }

  move(event, way) {
    const step = getComputedStyle(this.box).direction === "rtl" ? -way : way; // the right arrow goes to the right: back, where a text runs to the left
    const pieces = event.altKey ? this.graphemes : this.words;
    const at = this.chosen;
    if (!event.shiftKey) this.go(!at ? this.words[0] : step > 0 ? this.words.find((w) => w.start >= at.end) : this.words.findLast((w) => w.end <= at.start));
    else if (at) this.choose(this.extended(pieces, at, step, event.altKey));
  }

  // Shift + arrow moves the end that is away from where the selecting began.
  extended(pieces, at, step, fine) {
    const anchor = fine ? { start: at.start, end: pieces.find((p) => p.start >= at.start)?.end ?? at.end } : this.anchor;
    const after = (place) => pieces.find((p) => p.end > place)?.end ?? at.end;
    if (step > 0) {
      if (at.start < anchor.start) return { start: pieces.find((p) => p.start > at.start)?.start ?? at.start, end: at.end };
      return { start: at.start, end: after(at.end) };
    }
    if (at.end > anchor.end) return { start: at.start, end: Math.max(anchor.end, pieces.findLast((p) => p.end < at.end)?.end ?? anchor.end) };
    return { start: pieces.findLast((p) => p.start < at.start)?.start ?? at.start, end: at.end };
  }

  // -- drawing
  tell(key, label) {
    const text = this.chosen ? this.points.slice(this.chosen.start, this.chosen.end).join("") : "";
    this.live.textContent = say(key, { text, label });
  }

  draw() {
    drawSpans(this.box, this.points, this.spans, this.chosen);
    this.refreshBar();
  }

  refreshBar() {
    const hit = this.marked();
    this.chips.forEach((chip, i) => {
      chip.disabled = !this.chosen;
      chip.setAttribute("aria-pressed", String(hit.length > 0 && hit.every((span) => span.label === facts.labels[i].name)));
    });
    this.removeButton.disabled = !hit.length;
    this.undoButton.disabled = !this.past.length;
    this.resetButton.disabled = !this.changed();
  }
}

const overlaps = (one, other) => one.start < other.end && other.start < one.end;

// The marks of `spans` that `others` lacks; `twin` is the first of others' own marks that lies on it: it was changed then.
function extraSpans(spans, others) {
  const lacks = (list, span) => !list.some((one) => one.start === span.start && one.end === span.end && one.label === span.label);
  const theirs = others.filter((span) => lacks(spans, span));
  return spans.filter((span) => lacks(others, span)).map((span) => ({ span, twin: theirs.find((one) => overlaps(one, span)) ?? null }));
}

const widget = {
  showsText: true,
  emptyKey: (output, editable = true) => (output.spans.length ? null : editable ? "spans.none" : "spans.nothing"),
  differsKey: "spans.differs",
  edit: (host, tools) => new SpanEditor(host, tools),
  // Draw an output to read; `other` is the one it is compared with, `moodOfExtra` the CSS class of what the other lacks.
  view(host, text, output, other = null, moodOfExtra = "") {
    const extra = other ? extraSpans(bare(output.spans), bare(other.spans)) : [];
    const moodOf = (span) => {
      const found = extra.find((one) => sameSpans([one.span], [span]));
      if (!found) return "";
      return found.twin && moodOfExtra !== "am-differs" ? "am-changed" : moodOfExtra;
    };
    const box = el("div", { class: "am-text am-quiet", dir: "auto" });
    drawSpans(box, codePoints(text), bare(output.spans), null, moodOf);
    host.replaceChildren(box);
  },
  // The difference between two outputs in words: [{kind: added | removed | changed, words}], in the order of the text.
  differences(text, before, after) {
    const points = codePoints(text);
    const named = (span) => say("spans.named", { text: points.slice(span.start, span.end).join(""), label: labelOf(span.label).words });
    const added = extraSpans(bare(after.spans), bare(before.spans)).map(({ span, twin }) => (twin
      ? { kind: "changed", at: span.start, words: say("spans.became", { text: named(twin), words: named(span) }) }
      : { kind: "added", at: span.start, words: named(span) }));
    const removed = extraSpans(bare(before.spans), bare(after.spans)).filter(({ twin }) => !twin)
      .map(({ span }) => ({ kind: "removed", at: span.start, words: named(span) }));
    return [...added, ...removed].sort((one, other) => one.at - other.at);
  },
};
