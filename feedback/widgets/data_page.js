// The Data page: a file in, previewed before anything is stored, and corrections out. It decides nothing.
const status = statusLine();
const labelled = (key, field, hint) => el("div", { class: "am-field" }, el("label", { for: field.id, class: "am-muted", text: say(key) }), field,
  hint ? el("span", { class: "am-muted", text: say(hint) }) : null);
const check = (key, field) => el("label", { class: "am-check", for: field.id }, field, el("span", { text: say(key) }));
const option = (value, text) => el("option", { value, text });
const lines = (texts) => el("ul", { class: "am-lines" }, ...texts.map((text) => el("li", { text })));
const select = (what, onchange) => el("select", { class: "am-input", id: freshId(what), onchange });
const field = (what, attributes = {}) => el("input", { class: "am-input", id: freshId(what), autocomplete: "off", spellcheck: "false", oninput: () => outdated(), ...attributes });
const tick = (what) => el("input", { type: "checkbox", id: freshId(what), onchange: () => outdated() });
let file = null; // {upload, size, name} once its bytes are there
let turn = 0; // answers that come after a later choice are dropped

function told(answer) {
  if (!answer.lost && !answer.error) return true;
  showErrors((answer.error ?? say("data.lost")).split("\n"));
  return false;
}

// -- a file in
const picker = el("input", { type: "file", id: freshId("file"), class: "am-input", onchange: () => chosen(picker.files[0]) });
const form = select("form", () => askColumns(form.value));
const columnsBox = el("div", { class: "am-people-tools" });
const moreBox = el("div", { class: "am-people-tools" });
const more = el("details", { class: "am-fold" }, el("summary", { text: say("data.more") }), moreBox);
const annotators = field("annotators", { maxlength: "2000" });
const source = field("source", { maxlength: "200" });
const channel = field("channel", { maxlength: "40" });
const rating = field("rating", { type: "number", step: "any" });
const gold = tick("gold");
const accepted = tick("accepted");
const ratingField = labelled("data.least_rating", rating);
const previewButton = el("button", { type: "button", class: "am-button", text: say("data.preview"), onclick: () => preview() });
const bringButton = el("button", { type: "button", class: "am-button am-primary", text: say("data.import"), hidden: true, onclick: () => bring() });
const result = el("div", { class: "am-data-result", "aria-live": "polite" });
const settings = el("div", { class: "am-data-settings", hidden: true },
  labelled("data.form", form), columnsBox, more,
  el("div", { class: "am-people-tools am-data-tops" }, labelled("data.source", source, "data.source_hint"), labelled("data.channel", channel)),
  labelled("data.annotators", annotators, "data.annotators_hint"), ratingField,
  check("data.gold", gold), check("data.accepted", accepted),
  el("div", { class: "am-actions" }, previewButton, bringButton));
let mapping = {}; // our name -> the select that says what the file calls it

// What was previewed is what is imported: after a change it is looked at anew first.
function outdated() { turn += 1; bringButton.hidden = true; result.replaceChildren(); status.tell(""); }

function showErrors(texts) {
  result.replaceChildren(el("div", { class: "am-status", role: "alert", dataset: { kind: "bad" } }, lines(texts)));
}

async function chosen(picked) {
  outdated();
  settings.hidden = true;
  if (file) ask("forget", { upload: file.upload });
  file = null;
  if (!picked) return;
  const mine = turn;
  const upload = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  for (let offset = 0; offset === 0 || offset < picked.size; offset += facts.partBytes) {
    const part = new Uint8Array(await picked.slice(offset, offset + facts.partBytes).arrayBuffer());
    status.tell(say("data.uploading", { percent: picked.size ? Math.floor((100 * offset) / picked.size) : 0 }), "info");
    const answer = await ask("upload", { upload, offset, part: btoa(Array.from(part, (byte) => String.fromCharCode(byte)).join("")) });
    if (mine !== turn) { ask("forget", { upload }); return; }
    status.tell("");
    if (!told(answer)) { ask("forget", { upload }); return; }
  }
  file = { upload, size: picked.size, name: picked.name };
  source.value = picked.name;
  settings.hidden = false;
  await askColumns("");
}

async function askColumns(asked) {
  outdated();
  const mine = turn;
  const answer = await ask("columns", { ...file, form: asked });
  if (mine !== turn) return;
  if (!answer.error) form.value = answer.form;
  showFields(form.value, answer.columns ?? []);
  if (told(answer) && form.value) await preview();
}

function showFields(name, columns) {
  const names = facts.fields[name] ?? [];
  mapping = Object.fromEntries(names.map((ours) => [ours, el("select", { class: "am-input", id: freshId("column"), onchange: () => outdated() },
    option("", columns.includes(ours) ? ours : say("data.none")), ...columns.filter((theirs) => theirs !== ours).map((theirs) => option(theirs, theirs)))]));
  const fields = names.map((ours) => labelled(`data.field_${ours}`, mapping[ours]));
  const main = names.includes("question") ? 4 : 3; // those that every file has, and the annotator
  columnsBox.replaceChildren(...fields.slice(0, main));
  moreBox.replaceChildren(...fields.slice(main));
  more.hidden = fields.length <= main;
  ratingField.hidden = !names.includes("rating");
}

function request() {
  const columns = Object.fromEntries(Object.entries(mapping).filter(([, picked]) => picked.value).map(([ours, picked]) => [ours, picked.value]));
  return { ...file, form: form.value, source: source.value.trim(), channel: channel.value.trim() || facts.channel, columns,
    annotators: annotators.value.split(",").map((name) => name.trim()).filter(Boolean), gold: gold.checked, accepted: accepted.checked,
    least_rating: ratingField.hidden || rating.value === "" ? null : Number(rating.value) };
}

async function preview() {
  outdated();
  if (!form.value) { showErrors([say("data.needs_form")]); form.focus(); return; }
  const mine = turn;
  previewButton.disabled = true;
  const answer = await ask("preview", request());
  previewButton.disabled = false;
  if (mine !== turn || !told(answer)) return;
  const wrong = answer.error_count
    ? el("div", { class: "am-status", role: "alert", dataset: { kind: "bad" } }, el("p", { text: say("data.errors", { count: answer.error_count }) }), lines(answer.errors)) : null;
  result.replaceChildren(...[wrong, wrong ? null : lines([...answer.counts, ...answer.ignored]),
    answer.rows.length ? el("h3", { text: say("data.first", { count: answer.rows.length, total: answer.total }) }) : null,
    el("ol", { class: "am-given am-data-rows" }, ...answer.rows.map(rowItem))].filter(Boolean));
  bringButton.hidden = Boolean(answer.error_count) || !answer.total;
}

function rowItem(row) {
  const body = el("div", { class: "am-given-output" });
  widget.view(body, row.text, row.output);
  return el("li", { class: "am-given-item" },
    el("div", { class: "am-given-head" }, ...row.facts.map((text) => el("span", { class: "am-muted", text })),
      row.gold ? el("span", { class: "am-badge", dataset: { status: "accepted" }, text: say("data.known_truth") }) : null,
      row.status ? el("span", { class: "am-badge", text: `status.${row.status}` in facts.words ? say(`status.${row.status}`) : row.status }) : null),
    widget.showsText ? null : el("p", { class: "am-text am-quiet", dir: "auto", text: row.text }), body,
    row.comment ? el("blockquote", { class: "am-quote", text: row.comment }) : null);
}

async function bring() {
  const mine = ++turn;
  for (const button of [bringButton, previewButton, picker]) button.disabled = true;
  status.tell(say("data.importing"), "info");
  const answer = await ask("bring", request());
  for (const button of [bringButton, previewButton, picker]) button.disabled = false;
  if (mine !== turn) return;
  status.tell("");
  bringButton.hidden = true;
  if (!told(answer)) return;
  file = null;
  picker.value = "";
  settings.hidden = true;
  result.replaceChildren(el("div", { class: "am-status", role: "status", dataset: { kind: "good" } }, lines([...answer.told, ...answer.ignored])));
  showChannels(answer.channels);
}

// -- corrections out
const outForm = select("out-form");
const which = select("which", () => { outChannel.disabled = which.value === "gold"; });
const outChannel = select("out-channel");
const outStatus = statusLine();
const exportButton = el("button", { type: "button", class: "am-button", text: say("data.export"), onclick: () => bringOut() });
const table = el("table", { class: "am-table", hidden: true });
const noChannels = el("p", { class: "am-muted", text: say("data.empty"), hidden: true });
outForm.append(...facts.forms.map((name) => option(name, say(`data.form_${name}`))));
form.append(option("", say("data.choose")), ...facts.forms.map((name) => option(name, say(`data.form_${name}`))));
which.append(...facts.sets.map((name) => option(name, say(`data.set_${name}`))));
channel.placeholder = facts.channel;

async function bringOut() {
  exportButton.disabled = true;
  outStatus.tell("");
  try {
    const query = new URLSearchParams({ which: which.value });
    if (outChannel.value !== "*" && which.value !== "gold") query.set("channel", outChannel.value);
    const answer = await fetch(`${facts.exports}${outForm.value}?${query}`);
    if (!answer.ok) { outStatus.tell((await answer.json()).detail, "bad"); return; }
    const content = await answer.blob();
    if (!content.size) { outStatus.tell(say("data.empty"), "info"); return; }
    const link = el("a", { href: URL.createObjectURL(content), download: `${facts.name}-${which.value}${facts.endings[outForm.value]}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it after the click
    outStatus.tell(say("data.exported", { text: link.download }), "good");
  } catch {
    outStatus.tell(say("data.lost"), "bad");
  } finally {
    exportButton.disabled = false;
  }
}

// A partner's two links: one for its visitors, one to its own report.
function partnerLinks() {
  const name = field("partner", { maxlength: "40", pattern: "[A-Za-z0-9_.\\-]{1,40}" });
  const told = statusLine();
  const shown = ["visit", "report"].map((which) => [which, el("input", { class: "am-input", readonly: true, "aria-label": say(`data.link_${which}`) })]);
  const box = el("div", { class: "am-people-tools", hidden: true }, ...shown.map(([which, input]) => el("label", {}, el("span", { text: say(`data.link_${which}`) }), input)));
  const make = el("button", { type: "button", class: "am-tool", text: say("data.make_links"), onclick: async () => {
    box.hidden = true;
    told.tell("");
    if (!name.value || !name.checkValidity()) { told.tell(say("data.link_name"), "bad"); return; }
    try {
      const answer = await fetch(`${facts.links}${encodeURIComponent(name.value)}/links`);
      if (!answer.ok) throw new Error(String(answer.status));
      const links = await answer.json();
      for (const [which, input] of shown) input.value = links[which];
      box.hidden = false;
    } catch { told.tell(say("data.link_failed"), "bad"); }
  } });
  return el("div", {}, el("p", { class: "am-muted", text: say("data.links_hint") }),
    el("div", { class: "am-people-tools" }, labelled("data.partner", name), make), box, told.node);
}

function showChannels(channels) {
  const kept = outChannel.value || "*";
  const named = (name) => name || say("data.no_channel");
  outChannel.replaceChildren(option("*", say("data.all_channels")), ...channels.map((one) => option(one.channel, named(one.channel))));
  outChannel.value = kept === "*" || channels.some((one) => one.channel === kept) ? kept : "*";
  const names = ["visitors", "predictions", "corrections", "accepted", "rejected"];
  table.replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col", text: say("data.channel_name") }), ...names.map((name) => el("th", { scope: "col", text: say(`data.n_${name}`) })))),
    el("tbody", {}, ...channels.map((one) => el("tr", {}, el("th", { scope: "row", text: named(one.channel) }), ...names.map((name) => el("td", { text: one[name] }))))));
  table.hidden = channels.length === 0;
  noChannels.hidden = !table.hidden;
}

async function look() {
  const answer = await ask("channels", {});
  if (!answer.lost && !answer.error) showChannels(answer.channels);
}

root.replaceChildren(
  el("header", { class: "am-header" }, el("h2", { class: "am-title", text: say("data.title") }), el("p", { class: "am-lead", text: say("data.lead") })),
  el("section", { class: "am-card", "aria-label": say("data.in") }, el("h3", { text: say("data.in") }), labelled("data.file", picker, "data.file_hint"), settings, status.node, result),
  el("section", { class: "am-card", "aria-label": say("data.out") }, el("h3", { text: say("data.out") }),
    el("div", { class: "am-people-tools" }, labelled("data.form", outForm), labelled("data.which", which), labelled("data.out_channel", outChannel)),
    el("div", { class: "am-actions" }, exportButton), outStatus.node),
  el("section", { class: "am-card", "aria-label": say("data.channels") }, el("h3", { text: say("data.channels") }), noChannels, el("div", { class: "am-table-box" }, table),
    partnerLinks()));
// The studio draws hidden tabs at once: the counts are read when the tab is first seen, and again each time it is opened.
let visible = false;
new IntersectionObserver((entries) => {
  const now = entries.at(-1).isIntersecting;
  if (now && !visible) look();
  visible = now;
}).observe(root.querySelector(".am-header"));
