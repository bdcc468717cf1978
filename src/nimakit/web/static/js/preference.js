// The Preference experiment: choose the better of two photographs, or the best of four.

import { Comparison, figures, flash } from "./comparison.js";
import { Session } from "./session.js";
import { _ } from "./texts.js";
import { announce } from "./toasts.js";

const places = figures.length;
const comparison = new Comparison({ deck: "preference/next", describe: named, mark, tap: choose });
const { session } = comparison;

function mark(answer) {
  figures.forEach((figure, place) => figure.classList.toggle("chosen", answer === place));
  document.getElementById("tie").classList.toggle("chosen", answer === "tie");
}

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

const { keys } = session;
const arrows = places === 2 ? ["ArrowLeft", "ArrowRight"] : [];
figures.forEach((figure, place) => {
  const names = [String(place + 1), ...arrows.slice(place, place + 1)];
  keys.add(names, null, () => choose(place), { button: figure.querySelector(".pick") });
});
comparison.bindZoom();
keys.row(places === 2 ? ["1", "2"] : ["1", "…", "4"], _("Choose this one"));
if (places === 2) keys.row(["←", "→"], _("Choose the left or right one"));
keys.add(["t", "ArrowDown"], _("Alike: no choice"), tie, { button: document.getElementById("tie") });
comparison.bindCommon(_("Choose this one"));
