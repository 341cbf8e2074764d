// The review page: one correction at a time, what was shown beside what is proposed, and a person's verdict.
const skipped = new Set();
let items = [];
let current = null;
let amending = false;
let judging = false;

const status = statusLine();
const progress = el("p", { class: "am-muted am-progress", "aria-live": "polite" });
const bar = el("div", { class: "am-progress-bar", "aria-hidden": "true" }, el("span", { class: "am-meter-fill" }));
const refreshButton = el("button", { type: "button", class: "am-tool", text: say("review.refresh"), onclick: () => load() });
const unskipButton = el("button", { type: "button", class: "am-tool", text: say("review.show_skipped"), onclick: () => { skipped.clear(); next(); } });
const empty = el("section", { class: "am-card am-done", hidden: true }, el("p"), unskipButton);
const known = el("p", { class: "am-muted" });
const badges = el("div", { class: "am-given-head" });
const text = el("p", { class: "am-text am-quiet", hidden: widget.showsText });
const shown = el("div", { class: "am-side-body" });
const proposed = el("div", { class: "am-side-body" });
const same = el("p", { class: "am-muted", text: say("review.same") });
const comment = el("blockquote", { class: "am-quote", "aria-label": say("review.comment") });
const host = el("div", { class: "am-widget", hidden: true });
const editor = widget.edit(host, { onChange: () => refresh() });
const reason = el("input", { class: "am-input", id: freshId("reason"), placeholder: say("review.reason_placeholder"), maxlength: "500" });
const act = (key, letter, run) => el("button", { type: "button", class: "am-button am-verdict", onclick: run, "aria-keyshortcuts": letter },
  el("span", { text: say(key) }), el("kbd", { text: letter, "aria-hidden": "true" }));
const acceptButton = act("review.accept", "a", () => judge("accept"));
const rejectButton = act("review.reject", "r", () => judge("reject"));
const amendButton = act("review.amend", "m", () => amend());
const saveButton = act("review.amend_save", "m", () => judge("amend"));
const cancelButton = act("review.amend_cancel", "Esc", () => leaveAmending());
const skipButton = act("review.skip", "s", () => skip());
acceptButton.classList.add("am-primary");
saveButton.classList.add("am-primary");

const side = (key, body, ...more) => el("section", { class: "am-side", "aria-label": say(key) }, el("h3", { text: say(key) }), body, ...more);
const card = el("section", { class: "am-card", "aria-live": "polite", hidden: true },
  el("div", { class: "am-card-head" }, badges, known), text,
  el("div", { class: "am-sides" }, side("review.shown", shown), side("review.proposed", proposed, same)),
  comment, host,
  el("div", { class: "am-field" }, el("label", { for: reason.id, class: "am-muted", text: say("review.reason") }), reason),
  el("div", { class: "am-actions" }, acceptButton, rejectButton, amendButton, saveButton, cancelButton, skipButton),
  el("p", { class: "am-muted am-keys", text: say("review.keys") }));

function take(answer) {
  items = answer.items;
  const { waiting, accepted, rejected } = answer.tally;
  progress.textContent = say("review.progress", { waiting, accepted, rejected });
  const all = waiting + accepted + rejected;
  bar.firstChild.style.inlineSize = `${all ? Math.round((100 * (accepted + rejected)) / all) : 0}%`;
}

async function load() {
  refreshButton.disabled = true;
  const answer = await ask("queue", {});
  refreshButton.disabled = false;
  if (answer.lost || answer.error) status.tell(answer.error ?? say("review.lost"), "bad");
  else {
    take(answer);
    if (!current || !items.some((item) => item.id === current.id)) next();
  }
}

function next() {
  const waiting = items.filter((item) => !skipped.has(item.id));
  current = waiting[0] ?? null;
  card.hidden = !current;
  empty.hidden = Boolean(current);
  unskipButton.hidden = items.length === 0;
  empty.querySelector("p").textContent = say(items.length ? "review.all_skipped" : "review.empty");
  if (current) show(current);
}

function show(item) {
  const badge = (words, kind) => el("span", { class: "am-badge", dataset: { status: kind }, text: words });
  badges.replaceChildren(badge(say(item.confirmation ? "review.confirmation" : "review.correction"), "pending"),
    item.status === "undecided" ? badge(say("review.undecided"), "undecided") : "");
  known.textContent = say("review.facts", { version: item.version, variant: item.variant, percent: percentOf(item.confidence) });
  text.textContent = item.text;
  widget.view(shown, item.text, item.shown, item.proposed, "am-removed");
  widget.view(proposed, item.text, item.proposed, item.shown, "am-added");
  same.hidden = !item.confirmation;
  comment.hidden = !item.comment;
  comment.textContent = item.comment;
  reason.value = "";
  leaveAmending();
}

function amend() {
  amending = true;
  editor.show(current.text, current.proposed);
  host.hidden = false;
  refresh();
  editor.focus();
}

function leaveAmending() {
  amending = false;
  host.hidden = true;
  refresh();
}

function skip() {
  skipped.add(current.id);
  status.tell("");
  next();
}

function refresh() {
  acceptButton.hidden = rejectButton.hidden = amendButton.hidden = skipButton.hidden = amending;
  saveButton.hidden = cancelButton.hidden = !amending;
  [acceptButton, rejectButton, amendButton, skipButton, cancelButton].forEach((button) => { button.disabled = judging; });
  saveButton.disabled = judging || !editor.changed();
}

async function judge(verdict) {
  const item = current;
  judging = true;
  refresh();
  const answer = await ask("judge", { correction: item.id, verdict, reason: reason.value, output: verdict === "amend" ? editor.output() : null });
  judging = false;
  refresh();
  if (answer.lost || answer.error) {
    status.tell(answer.error ?? say("review.lost"), "bad");
    return;
  }
  take(answer);
  next();
  status.tell(say(`review.done_${verdict}`), "good");
}

function pressed(event) {
  if (!root.isConnected) { document.removeEventListener("keydown", pressed); return; }
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (!current || judging || root.offsetParent === null || composing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && amending) { leaveAmending(); amendButton.focus(); return; }
  if (typing) return;
  const acts = amending ? { m: saveButton } : { a: acceptButton, r: rejectButton, m: amendButton, s: skipButton };
  const button = acts[event.key.toLowerCase()];
  if (!button || button.disabled) return;
  event.preventDefault();
  button.click();
}

document.addEventListener("keydown", pressed);
root.replaceChildren(
  el("header", { class: "am-header" },
    el("div", { class: "am-card-head" }, el("h2", { class: "am-title", text: say("review.title") }), refreshButton),
    el("p", { class: "am-lead", text: say("review.lead", { agree: facts.agree }) }), progress, bar),
  status.node, card, empty);
load();
