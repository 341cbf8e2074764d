// The review page: what is worth most comes first; judge it, leaf on, take it back. Items that are open here are offered to nobody
// else: the page renews them while it is open and lets go of them when it is left.
const RENEW_MS = 40_000;
const AHEAD = 1; // items beyond the one that is read
const page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16).padStart(8, "0")).join("");
const skipped = new Set();
let items = []; // what this page holds, in the order they came
let at = 0;
let attempt = ""; // names one intended verdict, so that sending it again is the same call
let counts = { waiting: 0, mine: 0, all: 0, elsewhere: 0, rate: null };
let busy = false;

const status = statusLine();
const progress = el("p", { class: "am-muted am-progress", "aria-live": "polite" });
const pace = el("p", { class: "am-muted", hidden: true });
const bar = el("div", { class: "am-progress-bar", "aria-hidden": "true" }, el("span", { class: "am-meter-fill" }));
const tool = (key, run, letter = "") => el("button", { type: "button", class: "am-tool", onclick: run, "aria-keyshortcuts": letter || null },
  el("span", { text: say(key) }), letter ? el("kbd", { text: letter, "aria-hidden": "true" }) : null);
const refreshButton = tool("review.refresh", () => load());
const bulkButton = tool("review.bulk", () => bulk.show(), "b");
const helpButton = tool("review.help", () => keys.help(), "?");
const unskipButton = tool("review.show_skipped", () => { skipped.clear(); load(); });
const empty = el("section", { class: "am-card am-done", hidden: true }, el("p"), unskipButton);
const card = new ItemCard({ onVerdict: (verdict) => judge(verdict), onSkip: () => skip(), onStep: (step) => go(step) });
const last = new LastVerdicts({ onUndo: (act) => undo(act), onRepeat: (act) => repeat(act), loadOthers: (act) => ask("others", { correction: act.correction }) });
const bulk = new BulkCard({
  load: () => ask("unanimous", { page }),
  accept: (corrections) => call("accept_unanimous", { corrections }, ({ accepted, left_out: left }) => {
    items = items.filter((item) => !corrections.includes(item.id));
    at = Math.min(at, Math.max(0, items.length - 1));
    status.tell(say(left ? "review.bulk_done_some" : "review.bulk_done", { count: accepted, left }), "good");
  }),
  onClose: () => bulkButton.focus(),
});
const agreement = new AgreementFold();
const current = () => items[at] ?? null;

// Every call says what this page holds and wants, and every answer brings items, counts and the last acts. A call in the
// background lets the reviewer go on, and leaves the last acts as they are.
async function call(name, data, done = () => {}, background = false) {
  if (!background) setBusy(true);
  const since = new Date(new Date().setHours(0, 0, 0, 0)).toISOString();
  const answer = await ask(name, { ...data, page, since, have: items.map((item) => item.id), skipped: [...skipped], ahead: AHEAD + at });
  if (!background) setBusy(false);
  if (answer.lost || answer.error) {
    status.tell(answer.error ?? say("review.lost"), "bad");
    return answer;
  }
  const open = current()?.id;
  done(answer);
  items.push(...answer.items.filter((item) => !items.some((known) => known.id === item.id)));
  showCounts(answer.progress);
  if (!background) last.show(answer.recent, answer.others ?? null);
  if (!current() || current().id !== open || card.item?.id !== open) display();
  else emptiness();
  return answer;
}

function setBusy(now) {
  busy = now;
  card.setBusy(now);
  last.setBusy(now);
  refreshButton.disabled = bulkButton.disabled = now;
}

function showCounts(now) {
  counts = now;
  progress.textContent = say("review.progress", { waiting: now.waiting, mine: now.mine, everybody: now.all });
  const sum = now.waiting + now.all;
  bar.firstChild.style.inlineSize = `${sum ? Math.round((100 * now.all) / sum) : 0}%`;
  pace.hidden = now.rate === null;
  if (now.rate !== null) pace.textContent = say("review.rate", { rate: Math.round(now.rate), minutes: Math.max(1, Math.round((60 * now.waiting) / now.rate)) });
}

function display() {
  attempt = Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(16)).join("");
  card.show(current());
  emptiness();
}

function emptiness() {
  empty.hidden = Boolean(current());
  if (current()) return;
  unskipButton.hidden = !skipped.size;
  const key = skipped.size ? "review.all_skipped" : counts.elsewhere && counts.waiting ? "review.all_elsewhere" : "review.empty";
  empty.querySelector("p").textContent = say(key, { count: counts.elsewhere });
}

const load = () => call("queue", {});

// On and back among the items that are held; going on past the last one asks for more.
async function go(step) {
  if (busy || card.amending) return;
  status.tell("");
  const leaving = current();
  if (leaving?.gone) drop(leaving);
  else if (at + step >= 0 && at + step <= items.length) at += step;
  const answer = current() ? {} : await load();
  if (at >= items.length && items.length) {
    at = items.length - 1;
    if (!answer.lost && !answer.error) status.tell(say("review.no_more"), "info");
  }
  display();
}

function drop(item) {
  items = items.filter((one) => one !== item);
  at = Math.min(at, items.length);
}

function skip() {
  const item = current();
  if (!item || busy) return;
  skipped.add(item.id);
  drop(item);
  status.tell("");
  if (current()) display();
  call("release", { items: [item.id] }, () => {}, Boolean(current()));
}

async function judge(verdict) {
  const item = current();
  if (!item || busy) return;
  const output = verdict === "amend" ? card.output() : null;
  const answer = await call("judge", { correction: item.id, verdict, reason: card.reason.value, output, key: attempt + verdict }, () => {
    card.drafts.drop(item.id);
    drop(item);
    if (at >= items.length) at = Math.max(0, items.length - 1);
    status.tell(say(DONE[verdict]), "good");
  });
  if ((answer.code ?? "").startsWith("review_")) item.gone = true; // it can no longer be judged here: what was typed stays to be read
  card.refresh();
}

async function undo(act) {
  if (!act || busy) return;
  await call("undo", { reviews: act.reviews, correction: act.correction }, ({ items: back }) => {
    skipped.delete(act.correction);
    const [again] = back.filter((item) => item.id === act.correction);
    if (again && act.size === 1) {
      items.splice(at, 0, again);
      card.item = null; // drawn anew, even where it is what was open
    }
    status.tell(say("review.undone", { count: act.size }), "info");
  });
}

const repeat = (act) => call("repeat", { correction: act.correction }, ({ repeated }) => {
  items = items.filter((item) => !repeated.includes(item.id));
  at = Math.min(at, Math.max(0, items.length - 1));
  status.tell(say("review.repeated", { count: repeated.length }), "good");
});

async function renew() {
  if (!root.isConnected) { clearInterval(timer); return; }
  if (busy || document.visibilityState === "hidden" && !items.length) return;
  if (!items.length) { await load(); return; }
  const answer = await ask("renew", { page, items: items.map((item) => item.id) });
  if (answer.lost || answer.error) return; // the next renewal tells; a verdict would be refused in words
  items.filter((item) => answer.gone.includes(item.id)).forEach((item) => {
    if (item === current()) { item.gone = true; status.tell(say("review.elsewhere"), "bad"); }
    else { const before = items.indexOf(item) < at; items = items.filter((one) => one !== item); if (before) at -= 1; }
  });
  card.refresh();
}

// A beacon outlives the page; what it cannot carry ends by itself when nobody renews it.
function leave() { navigator.sendBeacon(facts.release, new Blob([JSON.stringify({ page })], { type: "application/json" })); }

const amends = () => (card.amending ? card.saveButton : card.amendButton).click();
const press = (button) => { if (!button.hidden && !card.node.hidden) button.click(); };
const keys = new Keys([
  { key: "a", words: "review.key_accept", run: () => press(card.acceptButton) },
  { key: "r", words: "review.key_reject", run: () => press(card.rejectButton) },
  { key: "m", words: "review.key_amend", run: () => { if (!card.node.hidden) amends(); } },
  { key: "s", words: "review.key_skip", run: () => press(card.skipButton) },
  { key: "u", words: "review.key_undo", run: () => undo(last.newest()) },
  { key: "j", words: "review.key_next", run: () => go(1) },
  { key: "k", words: "review.key_previous", run: () => go(-1) },
  { key: "e", words: "review.key_reason", run: () => { if (!card.node.hidden) card.reason.focus(); } },
  { key: "f", words: "review.key_focus", run: () => { card.node.focus(); bringIntoView(card.node); } },
  { key: "v", words: "review.key_answers", run: () => { card.context.open = !card.context.open; } },
  { key: "b", words: "review.key_bulk", run: () => { if (bulk.open) bulk.close(); else bulk.show(); } },
  { key: "?", words: "review.key_help", run: () => keys.help() },
  { key: "Esc", words: "review.key_escape", run: () => {} },
], (event) => {
  if (event.key !== "Escape" || keys.dialog.open) return false;
  if (event.target === card.reason) card.node.focus();
  else if (bulk.open) bulk.close();
  else if (card.amending) card.cancel();
  else return false;
  return true;
});

const timer = setInterval(renew, RENEW_MS);
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") renew(); });
window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", (event) => { if (event.persisted) renew(); });
window.addEventListener("online", () => { if (!current()) load(); });
root.replaceChildren(
  el("header", { class: "am-header" },
    el("div", { class: "am-card-head" }, el("h2", { class: "am-title", text: say("review.title") }), el("div", { class: "am-tools" }, bulkButton, refreshButton, helpButton)),
    el("p", { class: "am-lead am-review-lead", text: say("review.lead") }), progress, bar, pace),
  status.node, bulk.node, card.node, empty, last.node, agreement.node, keys.dialog);
load();
