// The Contributors page: alarms first, then who came, then one person with all they said. It decides nothing.
const status = statusLine();
const moment = (iso) => new Intl.DateTimeFormat(facts.language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
const when = (iso, key) => el("time", { class: "am-muted", datetime: iso, text: key ? `${say(key)} ${moment(iso)}` : moment(iso) });
const labelled = (key, field) => el("div", { class: "am-field" }, el("label", { for: field.id, class: "am-muted", text: say(key) }), field);
const fold = (key, count, ...children) => el("details", { class: "am-fold", hidden: count === 0 }, el("summary", { text: say(key, { count }) }), ...children);
let offset = 0;
let total = 0;
let opened = null; // the contributor whose history is shown
let turn = 0; // answers that come after a later question are dropped

// -- alarms
const alarmBox = el("div", { class: "am-alarms" });

function showAlarms({ alarms, watched, cleared }) {
  const list = (lines) => el("ul", { class: "am-lines" }, ...lines.map((line) => el("li", { text: line })));
  alarmBox.replaceChildren(
    el("h3", { text: say("contributors.alarms") }),
    ...(alarms.length ? alarms.map(alarmItem) : [el("p", { class: "am-muted", text: say("contributors.no_alarm") })]),
    fold("contributors.watched", watched.length, list(watched)),
    fold("contributors.cleared", cleared.length, list(cleared)));
}

function alarmItem(alarm) {
  const reason = el("input", { class: "am-input", id: freshId("clear"), maxlength: "1000" });
  const normal = el("input", { type: "checkbox", id: freshId("normal") });
  const button = el("button", { type: "button", class: "am-button", text: say("contributors.clear"), onclick: () => clearAlarm() });
  async function clearAlarm() {
    if (!reason.value.trim()) { status.tell(say("contributors.needs_reason"), "bad"); reason.focus(); return; }
    button.disabled = true;
    const answer = await ask("clear", { alarm: alarm.id, reason: reason.value, normal: normal.checked });
    button.disabled = false;
    if (told(answer)) { showAlarms(answer); status.tell(say("contributors.cleared_now"), "good"); }
  }
  return el("div", { class: "am-status am-alarm", role: "alert", dataset: { kind: "bad" } }, el("p", { text: alarm.words }),
    labelled("contributors.clear_reason", reason),
    el("label", { class: "am-check", for: normal.id }, normal, el("span", { text: say("contributors.normal") })),
    el("div", { class: "am-actions" }, button));
}

// -- how answers are accepted: read when it is opened, since it judges the whole log
const standing = el("div", { class: "am-standing", "aria-live": "polite" });
const standingFold = el("details", { class: "am-fold am-card", ontoggle: () => { if (standingFold.open) loadStanding(); } },
  el("summary", { text: say("contributors.acceptance") }), standing);

async function loadStanding() {
  standing.replaceChildren(el("p", { class: "am-muted", text: say("contributors.reckoning") }));
  const answer = await ask("acceptance", {});
  if (!told(answer)) { standing.replaceChildren(); return; }
  const share = (value, kind) => el("span", { class: "am-gauge", dataset: { kind }, style: `inline-size: ${value}%` });
  const rows = answer.bins.map((bin) => el("tr", {},
    el("th", { scope: "row", text: `${bin.from}–${bin.to} %` }), el("td", { text: String(bin.items) }),
    el("td", {}, share(bin.mean / 2, "claimed"), el("span", { text: `${bin.mean} %` })),
    el("td", {}, share(bin.right / 2, "right"), el("span", { text: `${bin.right} %` }))));
  const heads = ["bin", "items", "claimed", "was_right"].map((name) => el("th", { scope: "col", text: say(`contributors.calibration_${name}`) }));
  standing.replaceChildren(el("ul", { class: "am-lines" }, ...answer.lines.map((line) => el("li", { text: line }))),
    ...(rows.length ? [el("h4", { text: say("contributors.calibration") }), el("p", { class: "am-muted", text: say("contributors.calibration_hint") }),
      el("table", { class: "am-table am-calibration" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows))] : []));
}

// -- everybody
const sort = el("select", { class: "am-input", id: freshId("sort"), onchange: () => load(true) },
  ...facts.sorts.map((name) => el("option", { value: name, text: say(`contributors.sort_${name}`) })));
const part = el("input", { class: "am-input", id: freshId("part"), type: "search", maxlength: "300", autocomplete: "off", spellcheck: "false",
  onkeydown: (event) => { if (event.key === "Enter" && !composing(event)) load(true); }, onsearch: () => load(true) });
const blockedOnly = el("input", { type: "checkbox", id: freshId("blocked"), onchange: () => load(true) });
const counted = el("p", { class: "am-muted", "aria-live": "polite" });
const people = el("ol", { class: "am-given am-people" });
const earlier = el("button", { type: "button", class: "am-tool", text: say("contributors.previous"), onclick: () => turnTo(offset - facts.pageSize) });
const later = el("button", { type: "button", class: "am-tool", text: say("contributors.next"), onclick: () => turnTo(offset + facts.pageSize) });
const refreshButton = el("button", { type: "button", class: "am-tool", text: say("contributors.refresh"), onclick: () => load() });
const everybody = el("section", { class: "am-card" },
  el("div", { class: "am-people-tools" }, labelled("contributors.sort", sort), labelled("contributors.find", part),
    el("label", { class: "am-check", for: blockedOnly.id }, blockedOnly, el("span", { text: say("contributors.blocked_only") }))),
  counted, people, el("div", { class: "am-actions" }, earlier, later));

const badge = (words, kind) => el("span", { class: "am-badge", dataset: { status: kind }, text: words });
const badges = (item) => [item.blocked ? badge(say("contributors.blocked"), "rejected") : null,
  badge(item.trust_words, { trusted: "accepted", not_trusted: "undecided", too_few: "pending" }[item.trust])];

function personRow(item) {
  const button = el("button", { type: "button", class: "am-person", onclick: () => open(item.id) }, el("code", { text: item.id }));
  return el("li", { class: "am-given-item", dataset: { contributor: item.id } },
    el("div", { class: "am-given-head" }, button, ...badges(item), when(item.last, "contributors.last")),
    el("p", { class: "am-muted", text: `${item.counts} ${item.reliability}` }));
}

function showPeople(answer) {
  total = answer.total;
  counted.textContent = total ? say("contributors.count", { count: total }) : say("contributors.empty");
  people.replaceChildren(...answer.people.map(personRow));
  earlier.hidden = offset === 0;
  later.hidden = offset + answer.people.length >= total;
}

function turnTo(place) { offset = Math.max(0, place); load(); }

function told(answer) {
  if (!answer.lost && !answer.error) return true;
  status.tell(answer.error ?? say("contributors.lost"), "bad");
  return false;
}

async function load(anew = false) {
  if (anew) offset = 0;
  const mine = ++turn;
  refreshButton.disabled = true;
  const answer = await ask("people", { sort: sort.value, part: part.value.trim(), blocked: blockedOnly.checked, offset });
  refreshButton.disabled = false;
  if (mine !== turn || !told(answer)) return;
  status.tell("");
  showPeople(answer);
  if (!alarmBox.contains(document.activeElement) || !document.activeElement.value) showAlarms(answer); // a reason being typed stays
}

// -- one person
const history = el("section", { class: "am-card", tabindex: "-1", hidden: true });

async function open(id) {
  const mine = ++turn;
  const answer = await ask("person", { contributor: id });
  if (mine !== turn || !told(answer)) return;
  status.tell("");
  showPerson(answer);
  bringIntoView(history);
  history.focus({ preventScroll: true });
}

function close() {
  const id = opened;
  opened = null;
  history.hidden = true;
  everybody.hidden = false;
  load().then(() => [...people.children].find((row) => row.dataset.contributor === id)?.querySelector("button").focus());
}

function showPerson(answer) {
  const { person } = answer;
  opened = person.id;
  history.hidden = false;
  everybody.hidden = true;
  const reason = el("input", { class: "am-input", id: freshId("reason"), maxlength: "1000" });
  const button = el("button", { type: "button", class: "am-button", text: say(person.blocked ? "contributors.unblock" : "contributors.block"), onclick: () => act() });
  async function act() {
    if (!reason.value.trim()) { status.tell(say("contributors.needs_reason"), "bad"); reason.focus(); return; }
    button.disabled = true;
    const changed = await ask("block", { contributor: person.id, blocked: !person.blocked, reason: reason.value });
    button.disabled = false;
    if (!told(changed)) return;
    showPerson(changed);
    status.tell(changed.told, "good");
  }
  const lines = [person.counts, person.reliability, ...answer.facts];
  history.replaceChildren(
    el("div", { class: "am-card-head" }, el("button", { type: "button", class: "am-tool", text: say("contributors.back"), onclick: () => close() })),
    el("div", { class: "am-given-head" }, el("h3", { class: "am-person-name" }, el("code", { text: person.id })), ...badges(person)),
    el("p", { class: "am-moments" }, when(person.first, "contributors.first"), when(person.last, "contributors.last")),
    el("ul", { class: "am-lines" }, ...lines.map((line) => el("li", { text: line }))),
    el("div", { class: "am-blocking" }, labelled(person.blocked ? "contributors.unblock_reason" : "contributors.block_reason", reason), button),
    el("p", { class: "am-muted", text: say(person.blocked ? "contributors.unblock_hint" : "contributors.block_hint") }),
    fold("contributors.blocks", answer.blocks.length,
      el("ul", { class: "am-lines" }, ...answer.blocks.map((one) => el("li", {}, `${one.words} `, when(one.created))))),
    fold("contributors.traps", answer.traps.length, el("ol", { class: "am-given" }, ...answer.traps.map(trapItem))),
    el("h3", { text: say("contributors.said") }),
    answer.said.length ? el("ol", { class: "am-given" }, ...answer.said.map(saidItem)) : el("p", { class: "am-muted", text: say("contributors.said_none") }),
    el("p", { class: "am-muted", hidden: answer.said.length < facts.saidLimit, text: say("contributors.said_more", { count: facts.saidLimit }) }));
}

function twoSides(text, left, right, leftKey, rightKey) {
  const side = (key, output, other, mood) => {
    const body = el("div", { class: "am-side-body" });
    widget.view(body, text, output, other, mood);
    return el("section", { class: "am-side", "aria-label": say(key) }, el("h4", { text: say(key) }), body);
  };
  return el("div", { class: "am-sides" }, side(leftKey, left, right, "am-removed"), side(rightKey, right, left, "am-added"));
}

function saidItem(item) {
  return el("li", { class: "am-given-item", dataset: { status: item.status, correction: item.id } },
    el("div", { class: "am-given-head" }, badge(item.status_words, item.status),
      el("span", { class: "am-muted", text: say(item.confirmation ? "contributors.confirmation" : "contributors.correction") }),
      item.asked ? el("span", { class: "am-muted", text: item.asked }) : null, when(item.created)),
    widget.showsText ? null : el("p", { class: "am-text am-quiet", dir: "auto", text: item.text }),
    twoSides(item.text, item.shown, item.proposed, "contributors.shown", "contributors.proposed"),
    item.comment ? el("blockquote", { class: "am-quote", text: item.comment }) : null,
    el("ul", { class: "am-lines am-muted" }, ...item.verdicts.map((one) =>
      el("li", {}, el("span", { text: one.reason ? `${one.words}: ${one.reason} ` : `${one.words} ` }), when(one.created)))));
}

function trapItem(item) {
  return el("li", { class: "am-given-item" },
    el("div", { class: "am-given-head" }, badge(say(item.right ? "contributors.right" : "contributors.wrong"), item.right ? "accepted" : "rejected"), when(item.created)),
    widget.showsText ? null : el("p", { class: "am-text am-quiet", dir: "auto", text: item.text }),
    twoSides(item.text, item.truth, item.answer, "contributors.truth", "contributors.answered"));
}

root.replaceChildren(
  el("header", { class: "am-header" },
    el("div", { class: "am-card-head" }, el("h2", { class: "am-title", text: say("contributors.title") }), refreshButton),
    el("p", { class: "am-lead", text: say("contributors.lead") })),
  status.node, el("section", { class: "am-card", "aria-label": say("contributors.alarms") }, alarmBox), standingFold, everybody, history);
// The studio draws hidden tabs at once: the list is read when it is first seen, and again each time the tab is opened.
let visible = false;
new IntersectionObserver((entries) => {
  const now = entries.at(-1).isIntersecting;
  if (now && !visible && !opened) load();
  visible = now;
}).observe(root.querySelector(".am-header"));
