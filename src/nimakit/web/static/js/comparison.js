// What the experiments that compare photographs share: they are shown together, each can be seen in full size.

import { Canvas } from "./canvas.js";
import { load } from "./pictures.js";
import { Session } from "./session.js";
import { _, ngettext } from "./texts.js";

export const figures = [...document.querySelectorAll(".choice")];

export class Comparison {
  // options: deck (path below the collection), describe(answer) for the undo button, mark(answer): shows the answer
  // so far, if any; tap(place): a picture was clicked or tapped.
  constructor({ deck, describe, mark, tap, undo }) {
    const choices = document.getElementById("choices");
    this.session = new Session({
      deck,
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
      describe: (item) => describe(Session.answerOf(item)),
      clear: () => {
        for (const canvas of this.canvases) canvas.clear();
        choices.hidden = true;
      },
      show: (item) => {
        choices.hidden = false;
        mark();
        item.pictures.forEach((one, place) => this.show(one, place));
      },
      mark,
      undo,
    });
    this.canvases = figures.map(
      (figure) =>
        new Canvas(figure, figure.querySelector(".zoom"), {
          left: () => this.session.pass(),
          right: () => this.session.back(),
        }),
    );
    // Here a click or double click on a picture answers; a button shows it in full size.
    this.canvases.forEach((canvas, place) => {
      canvas.tap = (event) => {
        if (event.detail > 1) return;
        if (canvas.zoomed) canvas.zoom(false);
        else tap(place);
      };
    });
  }

  show(picture, place) {
    this.canvases[place].show(picture);
    const caption = figures[place].querySelector(".caption");
    caption.hidden = !picture.name;
    caption.textContent = picture.name || "";
    picture.image.alt = picture.name || _("Photograph %(place)s of %(places)s", { place: place + 1, places: figures.length });
  }

  bindZoom() {
    figures.forEach((figure, place) => {
      this.session.keys.add([], null, () => this.canvases[place].toggle(), { button: figure.querySelector(".zoom") });
    });
  }

  // The keys and gestures that come last in the help; taps: what a click or tap does.
  bindCommon(taps) {
    const { session } = this;
    session.bindCommon();
    session.keys.add(["Escape"], _("Leave full size"), () => this.canvases.forEach((canvas) => canvas.zoom(false)));
    session.keys.row([_("click"), _("tap")], taps);
    if (session.maySkip) session.keys.row([_("swipe left")], _("Skip"));
    session.keys.row([_("swipe right")], _("Back"));
  }
}

export function flash(element) {
  element.classList.remove("given");
  void element.offsetWidth; // restarts the animation
  element.classList.add("given");
}
