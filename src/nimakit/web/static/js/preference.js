// The Preference experiment: choose the better of two photographs, or the best of four.

import { Canvas } from "./canvas.js";
import { load } from "./pictures.js";
import { Session } from "./session.js";
import { _, ngettext } from "./texts.js";
import { announce } from "./toasts.js";

const figures = [...document.querySelectorAll(".choice")];
const places = figures.length;

const session = new Session({
  deck: "preference/next",
  counted: (count) => ngettext("%(num)s comparison", "%(num)s comparisons", count),
  async ready(item) {
    for (const one of item.pictures) load(one);
    for (const one of item.pictures) {
      await one.ready.catch((error) => {
        item.broken = one;
        throw error;
      });
    }
  },
  about: (item) => ({ trial: item.trial, shown: item.pictures.map((one) => one.id) }),
  describe: (item) => named(Session.answerOf(item)),
  clear() {
    for (const canvas of canvases) canvas.clear();
    document.getElementById("choices").hidden = true;
  },
  show(item) {
    document.getElementById("choices").hidden = false;
    mark();
    item.pictures.forEach((one, place) => {
      canvases[place].show(one);
      const caption = figures[place].querySelector(".caption");
      caption.hidden = !one.name;
      caption.textContent = one.name || "";
      one.image.alt = one.name || _("Photograph %(place)s of %(places)s", { place: place + 1, places });
    });
  },
  mark,
});

function mark(answer) {
  figures.forEach((figure, place) => figure.classList.toggle("chosen", answer === place));
  document.getElementById("tie").classList.toggle("chosen", answer === "tie");
}

const canvases = figures.map(
  (figure) => new Canvas(figure, figure.querySelector(".zoom"), { left: () => session.pass(), right: () => session.back() }),
);
// Here a click or double click on a picture chooses it; a button shows it in full size.
canvases.forEach((canvas, place) => {
  canvas.tap = (event) => {
    if (event.detail > 1) return;
    if (canvas.zoomed) canvas.zoom(false);
    else choose(place);
  };
});

function choose(place) {
  const item = session.shown;
  if (!item) return;
  flash(figures[place]);
  announce(_("Chose %(place)s", { place: place + 1 }));
  if (Session.answerOf(item) === place) session.forward();
  else session.answer({ kind: "choice", image: item.pictures[place].id, ...session.options.about(item) }, place);
}

function tie() {
  const item = session.shown;
  if (!item) return;
  flash(document.getElementById("tie"));
  announce(_("Alike"));
  if (Session.answerOf(item) === "tie") session.forward();
  else session.answer({ kind: "tie", ...session.options.about(item) }, "tie");
}

function named(answer) {
  if (answer === "tie") return "=";
  return answer === null || answer === undefined ? "–" : String(answer + 1);
}

function flash(element) {
  element.classList.remove("given");
  void element.offsetWidth; // restarts the animation
  element.classList.add("given");
}

const { keys } = session;
const arrows = places === 2 ? ["ArrowLeft", "ArrowRight"] : [];
figures.forEach((figure, place) => {
  const names = [String(place + 1), ...arrows.slice(place, place + 1)];
  keys.add(names, null, () => choose(place), { button: figure.querySelector(".pick") });
  keys.add([], null, () => canvases[place].toggle(), { button: figure.querySelector(".zoom") });
});
keys.row(places === 2 ? ["1", "2"] : ["1", "…", "4"], _("Choose this one"));
if (places === 2) keys.row(["←", "→"], _("Choose the left or right one"));
keys.add(["t", "ArrowDown"], _("Alike: no choice"), tie, { button: document.getElementById("tie") });
session.bindCommon();
keys.add(["Escape"], _("Leave full size"), () => canvases.forEach((canvas) => canvas.zoom(false)));
keys.row([_("click"), _("tap")], _("Choose this one"));
if (session.maySkip) keys.row([_("swipe left")], _("Skip"));
keys.row([_("swipe right")], _("Back"));
