// The keyboard of the review page: which key does what, the overlay that says so, and a switch for those whom single keys disturb.
class Keys {
  // acts: [{ key, words, run }]: `run` is called for the key pressed alone, outside of every field; in(event) may claim a key first.
  constructor(acts, first = () => false) {
    this.acts = acts;
    this.first = first;
    this.stored = `amend-review-keys:${facts.name}`;
    const id = freshId("keys");
    this.toggle = el("input", { type: "checkbox", id, onchange: () => localStorage.setItem(this.stored, this.toggle.checked ? "on" : "off") });
    this.toggle.checked = localStorage.getItem(this.stored) !== "off";
    const close = el("button", { type: "button", class: "am-button", text: say("review.help_close"), onclick: () => this.dialog.close() });
    this.dialog = el("dialog", { class: "am-dialog", "aria-label": say("review.help") }, el("h2", { text: say("review.help") }),
      el("dl", { class: "am-keylist" }, ...acts.flatMap(({ key, words }) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: say(words) })])),
      el("p", { class: "am-muted", text: say("review.help_widget") }),
      el("label", { class: "am-check", for: id }, this.toggle, el("span", { text: say("review.help_toggle") })), close);
    this.pressed = this.pressed.bind(this);
    document.addEventListener("keydown", this.pressed);
  }

  help() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }

  pressed(event) {
    if (!root.isConnected) { document.removeEventListener("keydown", this.pressed); return; }
    if (event.defaultPrevented || root.offsetParent === null || composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.first(event)) { event.preventDefault(); return; }
    if (event.key === "?" && this.dialog.open) { event.preventDefault(); this.dialog.close(); return; }
    if (this.dialog.open || !this.toggle.checked || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    const act = this.acts.find(({ key }) => key === event.key || key === event.key.toLowerCase());
    if (!act || event.repeat) return; // a key held down judges one item, not ten
    event.preventDefault();
    act.run();
  }
}
