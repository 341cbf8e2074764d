// The form for a small grey picture: draw it, or choose a file, which stays in the browser. What is sent is SIDE x SIDE greys, ink
// cut out, made as large as fits and put in the middle. It knows nothing of answers.
const SIDE = 16;
const BOARD = 256; // pixels of the drawing
const PEN = 20;

class ImageForm {
  constructor({ onChange, onSend }) {
    this.onChange = onChange;
    this.onSend = onSend;
    this.asking = 0;
    this.picture = "";
    this.board = el("canvas", { id: "am-input", class: "am-board", tabindex: "0", role: "img", "aria-label": say("image.board"),
      onkeydown: (event) => this.pressed(event) });
    [this.board.width, this.board.height] = [BOARD, BOARD];
    this.pen = this.board.getContext("2d", { willReadFrequently: true });
    for (const [name, act] of [["pointerdown", "begin"], ["pointermove", "go"], ["pointerup", "end"], ["pointercancel", "end"]]) {
      this.board.addEventListener(name, (event) => this[act](event));
    }
    const id = freshId("file");
    this.file = el("input", { id, type: "file", accept: "image/*", class: "am-hidden", onchange: () => this.choose(this.file.files[0]) });
    this.status = statusLine();
    this.seen = el("div", { class: "am-seen" });
    this.clearButton = el("button", { type: "button", class: "am-tool", text: say("image.clear"), onclick: () => this.clear() });
    this.button = el("button", { type: "button", class: "am-button am-primary am-ask", text: say("page.ask"), onclick: () => this.onSend() });
    this.node = el("div", { class: "am-form-body" },
      el("p", { class: "am-muted", text: say("image.lead") }),
      el("div", { class: "am-drawing" }, this.board, this.seen),
      el("div", { class: "am-tools" }, this.clearButton, this.file, el("label", { class: "am-tool", for: id, text: say("image.choose") })),
      this.status.node, el("div", { class: "am-form-foot" }, this.button));
    this.blank();
  }

  value() { return this.picture; }
  ready() { return this.asking === 0 && this.picture !== ""; }
  is(text) { return text === this.picture; }
  draft() { return this.picture; }
  answered() {}
  masked() {}
  take(text) { this.restore(text); }

  restore(draft) {
    if (PICTURE.test(draft)) this.keep(draft);
    else this.refresh();
  }

  busy(asking) {
    this.asking = asking;
    this.button.textContent = say(asking > 0 ? "page.asking" : "page.ask");
    this.refresh();
  }

  blank() {
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(0, 0, BOARD, BOARD);
    Object.assign(this.pen, { strokeStyle: "#000", fillStyle: "#000", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
  }

  clear() {
    this.blank();
    this.keep("");
    this.status.tell("");
    this.board.focus();
  }

  place(event) {
    const box = this.board.getBoundingClientRect();
    return [(event.clientX - box.left) * BOARD / box.width, (event.clientY - box.top) * BOARD / box.height];
  }

  begin(event) {
    if (event.button > 0) return;
    event.preventDefault();
    this.board.setPointerCapture(event.pointerId);
    this.drawing = true;
    this.at = this.place(event);
    this.line(this.at);
  }

  go(event) { if (this.drawing) this.line(this.place(event)); }

  end() {
    if (!this.drawing) return;
    this.drawing = false;
    this.keep(this.small());
  }

  line(to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.at);
    this.pen.lineTo(...to);
    this.pen.stroke();
    this.at = to;
  }

  pressed(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && this.ready()) this.onSend();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
  }

  async choose(file) {
    this.file.value = "";
    if (!file) return;
    try {
      const image = await createImageBitmap(file);
      const scale = Math.min(BOARD / image.width, BOARD / image.height);
      const [width, height] = [image.width * scale, image.height * scale];
      this.blank();
      const place = [(BOARD - width) / 2, (BOARD - height) / 2, width, height].map(Math.round);
      this.pen.drawImage(image, ...place);
      image.close();
      if (this.groundIsDark(...place)) this.turnRound(...place);
      this.status.tell("");
      this.keep(this.small());
      if (!this.picture) this.status.tell(say("image.empty"), "bad");
    } catch {
      this.status.tell(say("image.unreadable"), "bad");
    }
  }

  // The ink of the drawing: 0 (white) to 255 (black) a pixel.
  ink() {
    const { data } = this.pen.getImageData(0, 0, BOARD, BOARD);
    return Float32Array.from({ length: BOARD * BOARD }, (_, i) => 255 - (0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]));
  }

  // A picture's own edge tells which is its ground.
  groundIsDark(x, y, width, height) {
    const ink = this.ink();
    const edge = [];
    for (let i = x; i < x + width; i += 1) edge.push(ink[y * BOARD + i], ink[(y + height - 1) * BOARD + i]);
    for (let j = y; j < y + height; j += 1) edge.push(ink[j * BOARD + x], ink[j * BOARD + x + width - 1]);
    return edge.reduce((sum, value) => sum + value, 0) / edge.length > 127;
  }

  turnRound(...place) {
    this.pen.save();
    this.pen.globalCompositeOperation = "difference";
    this.pen.fillStyle = "#fff";
    this.pen.fillRect(...place);
    this.pen.restore();
  }

  // The picture that is sent; "" for a blank drawing.
  small() {
    const ink = this.ink();
    let [left, top, right, bottom] = [BOARD, BOARD, -1, -1];
    for (let y = 0; y < BOARD; y += 1) for (let x = 0; x < BOARD; x += 1) if (ink[y * BOARD + x] > 64) {
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < 0) return "";
    const most = Math.max(right - left, bottom - top) + 1;
    const [x0, y0] = [(left + right + 1 - most) / 2, (top + bottom + 1 - most) / 2];
    const digits = [];
    for (let row = 0; row < SIDE; row += 1) for (let column = 0; column < SIDE; column += 1) {
      digits.push(Math.round(this.mean(ink, x0 + column * most / SIDE, y0 + row * most / SIDE, most / SIDE)).toString(16).padStart(2, "0"));
    }
    return `${SIDE}x${SIDE}:${digits.join("")}`;
  }

  // The mean ink of a square, whole pixels; what lies beyond the drawing is ground.
  mean(ink, x, y, size) {
    const [x0, y0] = [Math.round(x), Math.round(y)];
    const [x1, y1] = [Math.max(x0 + 1, Math.round(x + size)), Math.max(y0 + 1, Math.round(y + size))];
    let sum = 0;
    for (let j = y0; j < y1; j += 1) for (let i = x0; i < x1; i += 1) if (i >= 0 && j >= 0 && i < BOARD && j < BOARD) sum += ink[j * BOARD + i];
    return sum / ((x1 - x0) * (y1 - y0));
  }

  keep(picture) {
    this.picture = picture;
    this.seen.replaceChildren(...(picture ? [el("span", { class: "am-muted", text: say("image.seen") }), drawPicture(picture, 5)] : []));
    this.refresh();
  }

  refresh() {
    this.button.disabled = !this.ready();
    this.clearButton.disabled = this.picture === "";
    this.onChange();
  }
}

form.build = (tools) => new ImageForm(tools);
