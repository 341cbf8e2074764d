// The widget for a ranked list: like, dismiss, and put into order, by dragging, by buttons or by keys. It knows nothing of servers.
const titleOf = (output, id) => output.cards?.[id]?.title || labelOf(id).words;

// Why an item is on the list, in words; "" where nothing can be said.
function whyWords(output, id) {
  const why = output.why?.[(output.shown ?? output.items).indexOf(id)];
  if (!why || why.kind === "nothing") return "";
  return why.item ? say("ranking.why_liked", { text: titleOf(output, why.item) }) : say(`ranking.why_${why.kind}`);
}

// One item: its place, what it is, why it is there, and what can be done with it. The node stays the same wherever it is moved to.
class RankedCard {
  constructor(id, output, editor) {
    this.id = id;
    this.editor = editor;
    this.title = titleOf(output, id);
    const tool = (key, mark, act, more = {}) => el("button", { type: "button", class: "am-tool", title: say(key, { text: this.title }), "aria-label": say(key, { text: this.title }), onclick: act, ...more },
      el("span", { "aria-hidden": "true", text: mark }));
    this.place = el("span", { class: "am-ranked-place", "aria-hidden": "true" });
    this.grip = el("button", { type: "button", class: "am-tool am-ranked-grip", "aria-label": say("ranking.grip", { text: this.title }), title: say("ranking.grip", { text: this.title }),
      onkeydown: (event) => editor.pressed(event, this), onpointerdown: (event) => editor.dragged(event, this) }, el("span", { "aria-hidden": "true", text: "⠿" }));
    this.up = tool("ranking.up", "↑", () => editor.move(this, -1, this.up));
    this.down = tool("ranking.down", "↓", () => editor.move(this, 1, this.down));
    this.like = tool("ranking.like", "♥", () => editor.mark(id, "liked"));
    this.dismiss = tool("ranking.dismiss", "✕", () => editor.mark(id, "dismissed"));
    const text = output.cards?.[id]?.text, why = whyWords(output, id);
    this.node = el("li", { class: "am-ranked" }, el("div", { class: "am-ranked-side" }, this.place, this.grip),
      el("div", { class: "am-ranked-body" }, el("strong", { dir: "auto", text: this.title }),
        text ? el("p", { class: "am-ranked-text", dir: "auto", text }) : null, why ? el("p", { class: "am-muted am-ranked-why", dir: "auto", text: why }) : null),
      el("div", { class: "am-tools am-ranked-tools" }, this.like, this.dismiss, this.up, this.down));
  }

  draw(at, count, { liked, dismissed, locked }) {
    this.place.textContent = String(at + 1);
    this.node.dataset.said = liked ? "liked" : dismissed ? "dismissed" : "";
    this.like.setAttribute("aria-pressed", String(liked));
    this.dismiss.setAttribute("aria-pressed", String(dismissed));
    this.like.disabled = this.dismiss.disabled = this.grip.disabled = locked;
    this.up.disabled = locked || at === 0;
    this.down.disabled = locked || at === count - 1;
  }
}

class RankingEditor {
  constructor(host, { onChange }) {
    this.onChange = onChange;
    this.cards = new Map();
    this.past = []; // states to go back to
    this.list = el("ol", { class: "am-ranking", "aria-label": say("ranking.list") });
    this.undoButton = el("button", { type: "button", class: "am-tool", text: say("ranking.undo"), onclick: () => this.undo() });
    this.resetButton = el("button", { type: "button", class: "am-tool", text: say("spans.reset"), onclick: () => this.become(this.first()) });
    this.tools = el("div", { class: "am-tools" }, this.undoButton, this.resetButton);
    this.help = el("div", { class: "am-help" }, el("p", { text: say("ranking.hint") }));
    this.told = statusLine();
    this.told.node.classList.add("am-hidden");
    host.replaceChildren(this.list, this.tools, this.help, this.told.node);
    host.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || composing(event) || this.locked || !this.past.length) return;
      event.preventDefault();
      this.undo();
    });
  }

  // `output` is an answer, or what somebody made of one: then `shown` is the order in which it was shown.
  show(text, output, editable = true) {
    this.answer = output;
    this.cards = new Map(output.items.map((id) => [id, new RankedCard(id, output, this)]));
    this.state = this.first();
    this.past = [];
    this.lock(!editable);
  }

  first() { return { items: [...this.answer.items], liked: new Set(this.answer.liked ?? []), dismissed: new Set(this.answer.dismissed ?? []) }; }
  lock(locked) { this.locked = locked; this.draw(); }
  restore(output) { this.become({ items: [...output.items], liked: new Set(output.liked), dismissed: new Set(output.dismissed) }); }
  changed() { return this.state !== undefined && this.key(this.state) !== this.key(this.first()); }
  key({ items, liked, dismissed }) { return JSON.stringify([items, items.filter((id) => liked.has(id)), items.filter((id) => dismissed.has(id))]); }
  focus() { this.list.querySelector("button:not(:disabled)")?.focus(); }

  output() {
    const { items, liked, dismissed } = this.state;
    const said = { items, liked: items.filter((id) => liked.has(id)), dismissed: items.filter((id) => dismissed.has(id)) };
    if (!this.answer.ranks) return said;
    return { ...said, shown: this.answer.shown ?? this.answer.items, ranks: this.answer.ranks, policy: this.answer.policy };
  }

  become(state, keep = true) {
    if (this.locked) return;
    if (keep) this.past.push(this.state);
    this.state = state;
    this.draw();
    this.onChange();
  }

  undo() {
    if (!this.past.length) return;
    this.become(this.past.pop(), false);
    this.told.tell(say("ranking.undone"));
  }

  mark(id, as) {
    const other = as === "liked" ? "dismissed" : "liked";
    const state = { ...this.state, liked: new Set(this.state.liked), dismissed: new Set(this.state.dismissed) };
    if (!state[as].delete(id)) state[as].add(id);
    state[other].delete(id);
    this.become(state);
  }

  // Focus stays on what was pressed; at an end, where that is disabled now, it goes to the grip.
  move(card, steps, focus) {
    const at = this.state.items.indexOf(card.id);
    this.put(card, at + steps);
    (focus.disabled ? card.grip : focus).focus();
  }

  put(card, to) {
    const items = this.state.items.filter((id) => id !== card.id);
    if (to < 0 || to > items.length || this.locked || this.state.items[to] === card.id) return;
    items.splice(to, 0, card.id);
    this.become({ ...this.state, items });
    this.told.tell(say("ranking.moved", { text: card.title, count: to + 1, total: items.length }));
  }

  pressed(event, card) {
    const steps = { ArrowUp: -1, ArrowDown: 1 };
    const ends = { Home: 0, End: this.state.items.length - 1 };
    if (this.locked || event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps || event.key in ends)) return;
    event.preventDefault();
    this.put(card, event.key in ends ? ends[event.key] : this.state.items.indexOf(card.id) + steps[event.key]);
    card.grip.focus();
  }

  // While it is dragged the others make room; the whole drag is one step to undo.
  dragged(event, card) {
    if (this.locked || event.button !== 0) return;
    event.preventDefault();
    card.grip.focus();
    card.node.classList.add("am-dragged");
    const before = this.state;
    const moved = ({ clientY }) => {
      const others = this.state.items.filter((id) => id !== card.id);
      const to = others.filter((id) => { const box = this.cards.get(id).node.getBoundingClientRect(); return clientY > box.top + box.height / 2; }).length;
      if (this.state.items[to] === card.id) return;
      others.splice(to, 0, card.id);
      this.state = { ...this.state, items: others };
      this.draw();
    };
    const done = (end) => {
      for (const [name, act] of [["pointermove", moved], ["pointerup", done], ["pointercancel", done]]) window.removeEventListener(name, act);
      card.node.classList.remove("am-dragged");
      const state = end.type === "pointercancel" ? before : this.state;
      this.state = before;
      if (state.items.join() !== before.items.join()) this.become(state);
      else this.draw();
    };
    for (const [name, act] of [["pointermove", moved], ["pointerup", done], ["pointercancel", done]]) window.addEventListener(name, act);
  }

  draw() {
    if (!this.state) return;
    const { items, liked, dismissed } = this.state;
    items.forEach((id, at) => {
      const card = this.cards.get(id);
      card.draw(at, items.length, { liked: liked.has(id), dismissed: dismissed.has(id), locked: this.locked });
      if (this.list.children[at] !== card.node) { // a node that is moved loses the focus
        const focused = card.node.contains(document.activeElement) ? document.activeElement : null;
        this.list.insertBefore(card.node, this.list.children[at] ?? null);
        focused?.focus();
      }
    });
    while (this.list.children.length > items.length) this.list.lastChild.remove();
    this.tools.hidden = this.help.hidden = this.locked || !items.length;
    this.undoButton.disabled = !this.past.length;
    this.resetButton.hidden = !this.changed();
  }
}

const widget = {
  showsText: true, // what was asked is a history: the list says what of it counted
  emptyKey: (output) => (output.items.length ? null : "ranking.nothing"),
  differsKey: null,
  edit: (host, tools) => new RankingEditor(host, tools),
  view(host, text, output, other = null, moodOfExtra = "") {
    const liked = new Set(output.liked ?? []), dismissed = new Set(output.dismissed ?? []);
    host.replaceChildren(el("ol", { class: "am-ranking-view" }, ...output.items.map((id, at) => el("li", { class: other && other.items[at] !== id ? moodOfExtra : "" },
      el("span", { dir: "auto", text: titleOf(output, id) }),
      liked.has(id) ? el("span", { class: "am-badge", dataset: { status: "accepted" }, text: say("ranking.liked") }) : null,
      dismissed.has(id) ? el("span", { class: "am-badge", dataset: { status: "rejected" }, text: say("ranking.dismissed") }) : null))));
  },
  differences(text, before, after) {
    const liked = new Set(before.liked ?? []), dismissed = new Set(before.dismissed ?? []);
    const said = (ids, old, kind, key) => (ids ?? []).filter((id) => !old.has(id)).map((id) => ({ kind, words: say(key, { text: titleOf(after, id) }) }));
    const found = [...said(after.liked, liked, "added", "ranking.liked_item"), ...said(after.dismissed, dismissed, "removed", "ranking.dismissed_item")];
    return before.items.join() === after.items.join() ? found : [...found, { kind: "changed", words: say("ranking.reordered") }];
  },
};
