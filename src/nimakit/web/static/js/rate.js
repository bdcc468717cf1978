// The Rate experiment: the rater corrects or accepts the predicted score.

import { Canvas } from "./canvas.js";
import { load } from "./pictures.js";
import { Session } from "./session.js";
import { _, ngettext, number } from "./texts.js";
import { announce } from "./toasts.js";

const output = document.getElementById("value");
const predicted = document.getElementById("predicted");
const caption = document.getElementById("caption");
let value = null;

const session = new Session({
  deck: "deck",
  counted: (count) => ngettext("%(num)s picture", "%(num)s pictures", count),
  waiting: _("The first scores are being predicted…"),
  ready: load,
  about: (item) => ({ image: item.id, predicted: item.predicted }),
  describe: (item) => score(Session.answerOf(item)),
  clear: () => canvas.clear(),
  show(item) {
    canvas.show(item);
    caption.hidden = !item.name;
    caption.textContent = item.name || "";
    predicted.textContent = score(item.predicted);
    mark("track-predicted", item.predicted, 1);
    set(Session.answerOf(item) ?? item.predicted ?? (session.low + session.high) / 2);
    announce(_("Predicted %(score)s", { score: predicted.textContent }));
  },
});
const zoom = document.getElementById("zoom");
const canvas = new Canvas(document.getElementById("picture"), zoom, {
  left: () => session.pass(),
  right: () => session.back(),
});

function set(wanted) {
  value = Math.round(Math.min(session.high, Math.max(session.low, wanted)) * 10) / 10;
  output.value = score(value);
  mark("track-value", value, 2);
}

function score(given) {
  return given === null || given === undefined ? "–" : number(given, 1);
}

function mark(id, at, width) {
  const share = at === null ? 0 : (at - session.low) / (session.high - session.low);
  document.getElementById(id).setAttribute("x", share * (100 - width));
}

function move(by) {
  if (!session.shown) return;
  set(value + by);
  const button = stepBy(by);
  button.classList.remove("given");
  void button.offsetWidth; // restarts the animation
  button.classList.add("given");
  announce(output.value);
}

function accept() {
  const item = session.shown;
  if (!item) return;
  announce(_("Rated %(value)s", { value: output.value }));
  if (Session.answerOf(item) === value) session.forward();
  else session.answer({ kind: "rating", image: item.id, value, predicted: item.predicted }, value);
}

function stepBy(by) {
  return document.querySelector(`.step-by[data-by="${by}"]`);
}

const { keys } = session;
keys.add(["Enter", " ", "a"], _("Accept"), accept, { button: document.getElementById("accept") });
for (const [by, text, names, shown] of [
  [-0.1, _("Down %(step)s", { step: number(0.1, 1) }), ["-", "ArrowDown"], ["-", "↓"]],
  [0.1, _("Up %(step)s", { step: number(0.1, 1) }), ["+", "=", "ArrowUp"], ["+", "↑"]], // = is + without the shift key
  [-1, _("Down %(step)s", { step: 1 }), ["_", "ArrowLeft"], [_("Shift -"), "←"]],
  [1, _("Up %(step)s", { step: 1 }), ["*", "ArrowRight"], ["*", "→"]],
]) {
  keys.add(names, text, () => move(by), { shown, repeat: true, button: stepBy(by) });
}
for (let digit = session.low; digit <= session.high; digit++) {
  const key = digit === 10 && session.low > 0 ? "0" : String(digit);
  if (key.length === 1) keys.add([key], null, () => session.shown && set(digit));
}
keys.row(["1", "…", "9"], _("Set this score"));
session.bindCommon();
keys.add(["f"], _("Full size on or off"), () => canvas.toggle(), { button: zoom });
keys.add(["Escape"], _("Leave full size"), () => canvas.zoom(false));
if (session.maySkip) keys.row([_("swipe left")], _("Skip"));
keys.row([_("swipe right")], _("Back"));
