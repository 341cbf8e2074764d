// Small helpers of every page: elements without markup, words, code points, confidence. Text enters by textContent alone.
const facts = props.facts;
const root = element.querySelector(".am-root");

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The words of a key with its {names} filled in. The filler is a function, so a "$&" in a text stays what it is.
function say(key, values = {}) {
  if (!(key in facts.words)) throw new Error(`no words for ${key}`);
  return facts.words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const codePoints = (text) => Array.from(text);
const countOf = (text) => { let n = 0; for (const _ of text) n += 1; return n; };
const percentOf = (confidence) => (confidence < 1 ? Math.min(99, Math.round(confidence * 100)) : 100); // 100 % is for certainty alone
let lastId = 0;
const freshId = (what) => `am-${what}-${++lastId}`;

// The pieces of a text as [start, end) in code points: "word" (without the white space) or "grapheme".
function piecesOf(text, granularity) {
  const pieces = [];
  let at = 0;
  for (const { segment } of new Intl.Segmenter(facts.language, { granularity }).segment(text)) {
    const length = countOf(segment);
    if (granularity !== "word" || segment.trim()) pieces.push({ start: at, end: at + length });
    at += length;
  }
  return pieces;
}

function labelOf(name) {
  const head = facts.labels.find((label) => label.name.startsWith(`${name}/`)); // a name may be what labels have before their slash
  return facts.labels.find((label) => label.name === name) ?? { name, words: head?.group ?? name, colour: facts.labels[0].colour };
}

function colourIn(node, label) {
  ["--light", "--light-ink", "--dark", "--dark-ink"].forEach((property, i) => node.style.setProperty(property, label.colour[i]));
  return node;
}

function confidenceWords(confidence) {
  const percent = percentOf(confidence); // as it is shown beside the words
  if (percent >= 90) return say("page.confidence_high");
  if (percent >= 70) return say("page.confidence_fair");
  return say(percent >= 50 ? "page.confidence_low" : "page.confidence_none");
}

// A line that is read out when it changes. kind: "", "good", "bad" or "info".
function statusLine() {
  const node = el("p", { class: "am-status", role: "status", "aria-live": "polite", hidden: true });
  return {
    node,
    tell(text, kind = "") {
      node.textContent = text;
      node.hidden = !text;
      node.dataset.kind = kind;
    },
  };
}

function bringIntoView(node) {
  node.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

// Ask the server. Gradio resolves to undefined when no answer came: that is told as {lost: true}. Where too many ask at once the
// server does nothing and says so: then it is asked again, not by all at the same moment, before anybody is troubled with it.
async function ask(name, data) {
  for (let again = 2; ; again -= 1) {
    const answer = await server[name](data);
    if (answer === undefined || answer === null) return { lost: true };
    if (answer.code !== "busy" || again === 0) return answer;
    await new Promise((done) => setTimeout(done, 1000 * answer.retry * (0.5 + Math.random())));
  }
}

// Enter that ends an input method's composition is not a wish to send (keyCode 229 is Safari's way of saying so).
const composing = (event) => event.isComposing || event.keyCode === 229;
const onMac = /Mac|iPhone|iPad/.test(navigator.platform);
