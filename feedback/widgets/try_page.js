// The public page: a text goes in, the answer comes out below, and what was given stands at the end.
document.documentElement.lang = facts.language === "zh" ? "zh-Hans" : facts.language;
const draftKey = `amend:${facts.name}:draft`;
const storage = (() => { try { return window.sessionStorage; } catch { return null; } })(); // null where the browser forbids it

const given = new GivenList();
const onSent = (answer) => given.add(answer.added);
const card = new AnswerCard({ onSent });
const asked = facts.secondOpinions ? new AskedCard({ onSent }) : null;
let pair = null; // two answers side by side: made when the server first gives two
const status = statusLine();
const input = el("textarea", { id: "am-input", class: "am-input am-main-input", rows: "4", "aria-describedby": "am-count-spoken",
  placeholder: facts.placeholder || say("page.placeholder"), oninput: () => typed(), onkeydown: (event) => pressed(event) });
const count = el("span", { class: "am-count", "aria-hidden": "true" });
const spoken = el("span", { id: "am-count-spoken", class: "am-hidden" });
const button = el("button", { type: "button", class: "am-button am-primary am-ask", text: say("page.ask"), onclick: () => send() });
let asking = 0;
let latest = 0;

function typed() {
  const length = countOf(input.value);
  const over = length - facts.maxChars;
  count.textContent = over > 0 ? say("page.too_long", { over }) : say("page.count", { count: length, limit: facts.maxChars });
  count.classList.toggle("am-over", over > 0);
  spoken.textContent = over > 0 ? count.textContent : say("page.count_spoken", { count: length, limit: facts.maxChars });
  input.setAttribute("aria-invalid", String(over > 0));
  button.disabled = asking > 0 || over > 0 || !input.value.trim();
  card.textIsNow(input.value);
  pair?.textIsNow(input.value);
  try { storage?.setItem(draftKey, input.value); } catch { /* the browser's quota is used up: the draft is then not kept over a reload */ }
}

function pressed(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !composing(event)) {
    event.preventDefault();
    if (!button.disabled) send();
  }
}

function take(text) {
  input.value = text;
  typed();
  input.focus({ preventScroll: true });
}

// The server decides, at each asking, whether there is one answer or two.
function show(answer) {
  const two = "pair" in answer;
  if (two && !pair) {
    pair = new PairCard({ onSent });
    card.node.after(pair.node);
  }
  root.classList.toggle("am-wide", two);
  card.node.hidden = two;
  if (pair) pair.node.hidden = !two;
  const shown = two ? pair : card;
  shown.show(answer);
  shown.textIsNow(input.value);
}

async function send() {
  const text = input.value;
  const mine = ++latest;
  asking += 1;
  button.textContent = say("page.asking");
  root.classList.add("am-busy");
  status.tell("");
  typed();
  const answer = await ask("predict", { text });
  asking -= 1;
  button.textContent = say("page.ask");
  root.classList.remove("am-busy");
  typed();
  if (mine !== latest) return;
  if (answer.lost) status.tell(say("page.lost"), "bad");
  else if (answer.error) status.tell(answer.error, "bad");
  else {
    if (input.value === text && answer.text !== text) { // identifiers were masked: this is what everybody sees from now on
      input.value = answer.text;
      typed();
    }
    show(answer);
    if (answer.fresh) status.tell(say("page.cookie_dropped"), "bad");
  }
}

root.replaceChildren(
  el("header", { class: "am-header" },
    el("a", { class: "am-language", href: facts.otherLanguageUrl, text: say("page.language_switch"), title: say("page.language_switch_hint"),
      hreflang: facts.language === "zh" ? "en" : "zh", lang: facts.language === "zh" ? "en" : "zh-Hans" }),
    el("h1", { text: facts.title }),
    facts.description ? el("p", { class: "am-lead", text: facts.description }) : null,
    facts.notice ? el("p", { class: "am-notice", role: "note", text: facts.notice }) : null),
  el("section", { class: "am-card am-form" },
    el("div", { class: "am-label-row" }, el("label", { for: "am-input", text: say("page.text") }), count, spoken),
    input,
    el("div", { class: "am-form-foot" }, button,
      el("span", { class: "am-muted am-shortcut", text: say("page.shortcut", { modifier: onMac ? "⌘" : "Ctrl" }) })),
    status.node,
    facts.examples.length === 0 ? null : el("div", { class: "am-examples", role: "group", "aria-label": say("page.examples") },
      el("p", { class: "am-muted", text: say("page.examples") }),
      ...facts.examples.map((text) => el("button", { type: "button", class: "am-example", text, title: text, onclick: () => take(text) })))),
  card.node,
  asked?.node ?? "",
  given.node);

input.value = storage?.getItem(draftKey) ?? "";
typed();
given.load();
