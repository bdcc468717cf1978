// The Score experiment: one key rates one picture.

import { Canvas } from "./canvas.js";
import { load } from "./pictures.js";
import { Session } from "./session.js";
import { _, ngettext } from "./texts.js";
import { announce } from "./toasts.js";

const steps = [...document.querySelectorAll(".step")];
const caption = document.getElementById("caption");
let chosen = null; // the rating selected by the arrow keys

const session = new Session({
  deck: "deck",
  counted: (count) => ngettext("%(num)s picture", "%(num)s pictures", count),
  ready: load,
  about: (item) => ({ image: item.id }),
  describe: (item) => Session.answerOf(item) ?? "–",
  clear() {
    canvas.clear();
    choose(null);
  },
  show(item) {
    canvas.show(item);
    caption.hidden = !item.name;
    caption.textContent = item.name || "";
    choose(null);
  },
  mark: (answer) => choose(answer ?? null),
});
const zoom = document.getElementById("zoom");
const canvas = new Canvas(document.getElementById("picture"), zoom, {
  left: () => session.pass(),
  right: () => session.back(),
});

function rate(value) {
  const item = session.shown;
  if (!item) return;
  flash(value);
  announce(_("Rated %(value)s", { value }));
  if (Session.answerOf(item) === value) session.forward();
  else session.answer({ kind: "rating", image: item.id, value }, value);
}

function choose(value) {
  chosen = value;
  for (const step of steps) step.classList.toggle("chosen", Number(step.dataset.value) === value);
}

function move(by) {
  if (!session.shown) return;
  const middle = Math.floor((session.low + session.high) / 2);
  const value = chosen === null ? middle + (by > 0) : chosen + by;
  choose(Math.min(session.high, Math.max(session.low, value)));
  announce(_("%(value)s. Enter to rate.", { value: chosen }));
}

function stepOf(value) {
  return steps.find((one) => Number(one.dataset.value) === value);
}

function flash(value) {
  const step = stepOf(value);
  step.classList.remove("given");
  void step.offsetWidth; // restarts the animation
  step.classList.add("given");
}

const { keys } = session;
for (let value = session.low; value <= session.high; value++) {
  const key = value === 10 && session.low > 0 ? "0" : String(value);
  keys.add(key.length === 1 ? [key] : [], null, () => rate(value), { button: stepOf(value) });
}
const ten = session.high === 10 && session.low > 0;
keys.row(ten ? ["1", "…", "9", "0"] : [String(session.low), "…", String(Math.min(9, session.high))], ten ? _("Rate; 0 is 10") : _("Rate"));
keys.add(["ArrowLeft", "ArrowDown"], null, () => (canvas.zoomed ? canvas.scroll(-0.3, 0) : move(-1)), { repeat: true });
keys.add(["ArrowRight", "ArrowUp"], null, () => (canvas.zoomed ? canvas.scroll(0.3, 0) : move(1)), { repeat: true });
keys.row(["←", "→"], _("Choose a rating"));
keys.add(["Enter"], _("Submit the chosen rating"), () => chosen !== null && rate(chosen));
session.bindCommon();
keys.add(["f", " "], _("Full size on or off"), () => canvas.toggle(), { button: zoom });
keys.add(["Escape"], _("Leave full size"), () => canvas.zoom(false));
keys.row([_("click"), _("double tap")], _("Full size on or off"));
if (session.maySkip) keys.row([_("swipe left")], _("Skip"));
keys.row([_("swipe right")], _("Back"));
