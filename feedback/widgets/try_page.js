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
const fields = form.build({ onChange: () => changed(), onSend: () => send() });
let asking = 0;
let latest = 0;

// What stands in the form is no longer what was answered, perhaps; and it is kept over a reload.
function changed() {
  for (const shown of [card, pair]) if (shown) shown.stillAnswers((text) => fields.is(text));
  try { storage?.setItem(draftKey, fields.draft()); } catch { /* the browser's quota is used up: the draft is then not kept over a reload */ }
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
  shown.stillAnswers((text) => fields.is(text));
}

async function send() {
  const asked = fields.value();
  const mine = ++latest;
  fields.busy(asking += 1);
  root.classList.add("am-busy");
  status.tell("");
  const answer = await ask("predict", { input: asked });
  fields.busy(asking -= 1);
  root.classList.remove("am-busy");
  if (mine !== latest) return;
  if (answer.lost) status.tell(say("page.lost"), "bad");
  else if (answer.error) status.tell(answer.error, "bad");
  else {
    if (JSON.stringify(fields.value()) === JSON.stringify(asked)) {
      if (typeof asked === "string" && answer.text !== asked) fields.masked(answer.text);
      fields.answered(answer);
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
    fields.node,
    status.node,
    facts.examples.length === 0 ? null : el("div", { class: "am-examples", role: "group", "aria-label": say("page.examples") },
      el("p", { class: "am-muted", text: say("page.examples") }),
      ...facts.examples.map((text) => el("button", { type: "button", class: "am-example", dir: "auto", text, title: text, onclick: () => fields.take(text) })))),
  card.node,
  asked?.node ?? "",
  given.node,
  el("footer", { class: "am-foot" }, el("a", { href: "learned", text: say("page.learned") })));

fields.restore(storage?.getItem(draftKey) ?? "");
given.load();
