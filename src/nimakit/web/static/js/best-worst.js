// The Best-worst experiment: choose the best and the worst of four to six photographs, in either order.

import { Comparison, figures, flash } from "./comparison.js";
import { Session } from "./session.js";
import { _ } from "./texts.js";
import { announce } from "./toasts.js";

const step = document.getElementById("step");
let best; // the places chosen so far
let worst;
const comparison = new Comparison({ deck: "best-worst/next", describe: named, mark: (answer) => mark(answer || {}), tap: pick, undo });
const { session } = comparison;

function mark(answer = {}) {
  ({ best, worst } = answer);
  figures.forEach((figure, place) => {
    for (const [name, chosen] of [["best", best], ["worst", worst]]) {
      figure.classList.toggle(name, place === chosen);
      figure.querySelector(`.pick-${name}`).setAttribute("aria-pressed", String(place === chosen));
    }
  });
  const missing = best === undefined ? "best" : "worst";
  step.textContent = best === undefined || worst === undefined ? step.dataset[missing] : "";
}

// A number key or a tap chooses the best, then the worst; the same again takes it back.
function pick(place) {
  if (place === best) set({ best: undefined, worst });
  else if (place === worst) set({ best, worst: undefined });
  else if (best === undefined) set({ best: place, worst });
  else if (worst === undefined) set({ best, worst: place });
  else set({ best: place, worst: undefined }); // an earlier answer is replaced as a whole
}

// A button chooses what it says.
function choose(name, place) {
  const other = name === "best" ? "worst" : "best";
  const before = { best, worst };
  const is_undone = before[name] === place && before[other] === undefined;
  set({ [name]: is_undone ? undefined : place, [other]: before[other] === place ? undefined : before[other] });
}

function set(answer) {
  const item = session.shown;
  if (!item) return;
  for (const name of ["best", "worst"]) {
    const place = answer[name];
    if (place !== undefined && place !== { best, worst }[name]) flash(figures[place]);
  }
  mark(answer);
  if (best === undefined || worst === undefined) return announce(`${said()} ${step.textContent}`.trim());
  announce(said());
  const earlier = Session.answerOf(item);
  if (earlier && earlier.best === best && earlier.worst === worst) return session.forward();
  const [image, last] = [best, worst].map((place) => item.pictures[place].id);
  session.answer({ kind: "choice", image, worst: last, ...session.options.about(item) }, { best, worst });
}

// Undo takes back the half of a new answer before it goes back to an earlier one.
function undo() {
  if (!session.shown || Session.answerOf(session.shown) || (best === undefined && worst === undefined)) return false;
  mark();
  announce(step.textContent);
  return true;
}

function said() {
  return [
    best === undefined ? "" : _("Best: %(number)s.", { number: best + 1 }),
    worst === undefined ? "" : _("Worst: %(number)s.", { number: worst + 1 }),
  ].join(" ");
}

function named(answer) {
  return answer ? `${answer.best + 1} > ${answer.worst + 1}` : "–";
}

const { keys } = session;
figures.forEach((figure, place) => {
  keys.add([String(place + 1)], null, () => pick(place));
  for (const name of ["best", "worst"]) {
    keys.add([], null, () => choose(name, place), { button: figure.querySelector(`.pick-${name}`) });
  }
});
comparison.bindZoom();
keys.row(["1", "…", String(figures.length)], _("First the best, then the worst; the same again takes it back"));
comparison.bindCommon(_("First the best, then the worst"));
