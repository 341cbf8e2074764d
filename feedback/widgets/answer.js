// The answer: what the model says, how sure it is, the widget to correct it, and the two ways of sending. One at a time.
// Folded, it is one of two to be compared: there to be read, and the widget opens when the person wants to correct it.
class AnswerCard {
  constructor({ onSent, title = say("page.answer"), folded = null }) {
    this.onSent = onSent;
    this.folded = folded; // null, or { open: the words of the button that opens the widget }
    this.prediction = null;
    this.sending = false;
    this.status = statusLine();
    this.empty = el("p", { class: "am-muted am-empty", text: say("page.answer_empty") });
    this.stale = el("p", { class: "am-note", text: say("page.answer_stale"), hidden: true });
    this.notes = el("div", { class: "am-notes" });
    this.meter = el("span", { class: "am-meter-fill" });
    this.sure = el("span", { class: "am-sure-words" });
    this.sureBox = el("div", { class: "am-sure", hidden: true }, this.sure, el("span", { class: "am-meter", "aria-hidden": "true" }, this.meter));
    this.none = el("p", { class: "am-muted" });
    this.host = el("div", { class: "am-widget" });
    this.editor = widget.edit(this.host, { onChange: () => this.refresh() });
    this.buildComment();
    this.looksRight = el("button", { type: "button", class: "am-button", text: say("page.looks_right"), onclick: () => this.send(false) });
    this.sendButton = el("button", { type: "button", class: "am-button", text: say("page.send_correction"), onclick: () => this.send(true) });
    this.question = el("p", { class: "am-question", text: say("page.ask_correct") });
    this.actions = el("div", { class: "am-actions" }, this.looksRight, this.sendButton);
    this.work = el("div", { class: "am-answer-work" }, this.question, this.none, this.host, this.commentBox, this.actions);
    this.body = el("div", { class: "am-answer-body", hidden: true }, this.notes, this.work);
    if (folded) this.buildFold();
    const id = freshId("answer-title");
    this.node = el("section", { class: folded ? "am-side am-of-pair" : "am-card am-answer", "aria-labelledby": id },
      el("div", { class: "am-card-head" }, el(folded ? "h3" : "h2", { id, text: title }), this.sureBox),
      this.empty, this.stale, this.body, this.status.node);
  }

  buildFold() {
    this.reading = el("div", { class: "am-view" });
    this.nothing = el("p", { class: "am-muted" });
    this.openButton = el("button", { type: "button", class: "am-tool", text: this.folded.open, onclick: () => this.fold(false) });
    this.closeButton = el("button", { type: "button", class: "am-button", text: say("page.correct_cancel"), onclick: () => this.fold(true) });
    this.read = el("div", { class: "am-answer-body" }, this.reading, this.nothing, el("div", {}, this.openButton));
    this.body.append(this.read, this.work);
    this.actions.replaceChildren(this.closeButton, this.sendButton);
  }

  // Closing gives up what was changed and not sent.
  fold(closed, focus = true) {
    const { text, output } = this.prediction;
    this.work.hidden = closed;
    this.read.hidden = !closed;
    this.comment.value = "";
    this.commentBox.open = false;
    this.status.tell("");
    this.editor.show(text, output);
    this.refresh();
    if (focus && closed) this.openButton.focus();
    else if (focus) this.editor.focus();
  }

  buildComment() {
    const id = freshId("comment");
    this.comment = el("textarea", { id, class: "am-input", rows: "2", dir: "auto", placeholder: say("page.comment_placeholder"), oninput: () => this.refresh() });
    this.commentCount = el("span", { class: "am-count" });
    this.commentBox = el("details", { class: "am-comment" }, el("summary", { text: say("page.comment_open") }),
      el("label", { for: id, class: "am-hidden", text: say("page.comment") }), this.comment, this.commentCount);
  }

  // An answer without an id could not be recorded: it is there to be read, with a note that says so.
  show(answer) {
    const recorded = answer.id !== "";
    this.prediction = answer;
    this.sent = this.sending = false;
    this.comment.value = "";
    this.commentBox.open = false;
    this.notes.replaceChildren(...answer.notes.map((note) => el("p", { class: "am-note", role: "status", text: note })));
    const percent = say("page.percent", { percent: percentOf(answer.confidence) });
    this.sure.replaceChildren(el("strong", { text: confidenceWords(answer.confidence) }), el("span", { text: percent }));
    this.meter.style.inlineSize = `${percentOf(answer.confidence)}%`;
    const emptyKey = widget.emptyKey(answer.output, recorded);
    this.none.hidden = !emptyKey;
    this.none.textContent = emptyKey ? say(emptyKey) : "";
    this.editor.show(answer.text, answer.output, recorded);
    this.empty.hidden = true;
    this.stale.hidden = true;
    this.body.hidden = this.sureBox.hidden = false;
    this.commentBox.hidden = this.question.hidden = this.actions.hidden = !recorded;
    this.status.tell("");
    this.refresh();
    if (this.folded) this.showToRead(answer);
    else bringIntoView(this.node);
  }

  // `answer.other` is the answer it is compared with.
  showToRead(answer) {
    const emptyKey = widget.emptyKey(answer.output, false);
    this.nothing.hidden = !emptyKey;
    this.nothing.textContent = emptyKey ? say(emptyKey) : "";
    widget.view(this.reading, answer.text, answer.output, answer.other, "am-differs");
    this.question.hidden = true;
    this.fold(true, false);
  }

  // Whether the form still holds what was answered.
  stillAnswers(is) { this.stale.hidden = !this.prediction || is(this.prediction.text); }

  refresh() {
    const changed = this.editor.changed();
    const length = countOf(this.comment.value);
    const tooLong = length > facts.maxComment;
    const busy = !this.prediction || this.sending || this.sent;
    if (this.folded) this.closeButton.disabled = busy;
    this.looksRight.disabled = busy || changed || tooLong;
    this.sendButton.disabled = busy || !changed || tooLong;
    this.looksRight.classList.toggle("am-primary", !changed);
    this.sendButton.classList.toggle("am-primary", changed);
    this.question.textContent = changed ? say("page.hint_edited") : say("page.ask_correct");
    this.commentCount.textContent = tooLong ? say("page.too_long", { over: length - facts.maxComment }) : say("page.count", { count: length, limit: facts.maxComment });
    this.commentCount.classList.toggle("am-over", tooLong);
  }

  async send(corrected) {
    const { prediction } = this;
    const button = corrected ? this.sendButton : this.looksRight;
    const words = button.textContent;
    this.sending = true;
    button.textContent = say("page.sending");
    this.status.tell("");
    this.refresh();
    // "Looks right" sends what was shown, exactly; the server compares, and stores nothing it has not checked.
    const output = corrected ? this.editor.output() : prediction.output;
    const answer = await ask("correct", { prediction: prediction.id, output, comment: this.comment.value });
    button.textContent = words;
    this.sending = false;
    if (prediction !== this.prediction) return; // another answer came meanwhile
    if (answer.lost) this.status.tell(say("page.lost"), "bad");
    else if (answer.fresh) this.status.tell(say("page.cookie_dropped"), "bad");
    else if (answer.error) this.status.tell(answer.error, "bad");
    else this.done(answer);
    this.refresh();
  }

  done(answer) {
    this.sent = true;
    this.editor.lock(true);
    this.commentBox.hidden = this.question.hidden = this.actions.hidden = true;
    const key = answer.status === "accepted" ? "page.sent_accepted" : answer.confirmation ? "page.sent_confirmation" : "page.sent_correction";
    this.status.tell(say(key), "good");
    this.onSent(answer);
  }
}
