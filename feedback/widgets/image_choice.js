// The widget for a picture that gets one label: the picture beside the choice of choice.js. It knows nothing of servers.
const PICTURE = /^([0-9]{1,3})x([0-9]{1,3}):([0-9a-f]*)$/;

// A picture as pixels for the eye: ink on the page's ground, by alpha, so that it is right in light and in dark.
function drawPicture(text, size) {
  const canvas = el("canvas", { class: "am-picture", role: "img", "aria-label": say("image_choice.picture") });
  const found = PICTURE.exec(text);
  const [width, height] = found ? [Number(found[1]), Number(found[2])] : [1, 1];
  [canvas.width, canvas.height] = [width, height];
  [canvas.style.inlineSize, canvas.style.blockSize] = [`${size}rem`, `${size * height / width}rem`];
  if (!found || found[3].length !== 2 * width * height) return canvas;
  const pen = canvas.getContext("2d");
  const data = pen.createImageData(width, height);
  for (let i = 0; i < width * height; i += 1) data.data.set([40, 44, 72, parseInt(found[3].slice(2 * i, 2 * i + 2), 16)], 4 * i);
  pen.putImageData(data, 0, 0);
  return canvas;
}

class ImageChoiceEditor extends ChoiceEditor {
  constructor(host, tools) {
    const box = el("div", { class: "am-widget" });
    super(box, tools);
    this.frame = el("div", { class: "am-picture-frame" });
    host.replaceChildren(this.frame, box);
  }

  show(text, output, editable = true) {
    this.frame.replaceChildren(drawPicture(text, 9));
    super.show(text, output, editable);
  }
}

const viewChoice = widget.view;
Object.assign(widget, {
  showsText: true,
  edit: (host, tools) => new ImageChoiceEditor(host, tools),
  view(host, text, output, other = null, moodOfExtra = "") {
    const label = el("div");
    viewChoice(label, text, output, other, moodOfExtra);
    host.replaceChildren(el("div", { class: "am-picture-view" }, drawPicture(text, 4), label));
  },
});
