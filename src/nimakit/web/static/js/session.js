// What every page one rates on does the same way: the deck, the outbox, progress, going back, skipping, messages.

import { Api } from "./api.js";
import { Deck } from "./deck.js";
import { Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { address, drawn, side, unload } from "./pictures.js";
import { announce, toast } from "./toasts.js";

const MILESTONES = [10, 50, 100, 250, 500];
const SLOW_MS = 300;
const NOTE_MS = 5000; // until one asks again whether scores are predicted
const BREAK_AFTER_MS = 30 * 60000;

export class Session {
  // options: deck (path below the collection), unit ("picture"), show(item), clear(), describe(item) for the back
  // button, ready(item): a promise that its pictures can be shown, mark(answer): what was answered before, once there
  // is something to answer.
  constructor(options) {
    this.options = options;
    this.field = document.getElementById("main");
    const { base, collection, rater, session } = this.field.dataset;
    this.low = Number(this.field.dataset.low);
    this.high = Number(this.field.dataset.high);
    this.api = new Api(session);
    this.outbox = new Outbox(this.api, `${base}events`, collection, rater);
    this.deck = new Deck(this.api, base + options.deck, this.outbox);
    this.pace = new Pace();
    this.keys = new Keys();
    this.received = 0; // first answers the server has
    this.answered = 0; // this session
    this.coming = undefined; // the item that is shown next, or is shown already
    this.shown = null; // the item to answer: it has been drawn
    this.listen();
    this.outbox.flush();
    this.deck.fill(true);
  }

  listen() {
    this.deck.addEventListener("filled", () => {
      const { state } = this.deck;
      const { sending, taken } = this.outbox;
      if (state && !sending && this.deck.asked === taken) this.received = state.done;
      this.update();
      if (!this.deck.current || this.coming !== this.deck.current) this.next();
    });
    this.outbox.addEventListener("change", () => this.showSync());
    this.outbox.addEventListener("sent", (event) => {
      this.received = event.detail.done;
      this.update();
      if (!this.deck.current) this.deck.fill(true);
    });
    this.outbox.addEventListener("refused", (event) => toast(`One rating was not taken: ${event.detail}`));
    document.addEventListener("pointerdown", () => this.aim(), true);
    for (const part of [this.field, document.getElementById("answers")]) {
      part.addEventListener("click", (event) => this.passOver(event), true);
    }
    setTimeout(() => toast("Half an hour in. A short break keeps your eye fresh."), BREAK_AFTER_MS);
  }

  bindCommon() {
    const [skip, back] = ["skip", "back"].map((id) => document.getElementById(id));
    this.keys.add(["s"], "Skip", () => this.skip(), { button: skip });
    this.keys.add(["z", "Backspace"], "Undo: go back and change the last rating", () => this.back(), { repeat: true, button: back });
  }

  // A pointer goes down on what is shown now, or on an open menu, which its click closes and does no more.
  aim() {
    this.aimed = { item: this.keys.menu.open ? undefined : this.shown };
  }

  // A click that began on another picture, or before this one was drawn, is none on this one.
  passOver(event) {
    const { aimed } = this;
    this.aimed = null;
    // A click of a key has no detail; one of a screen reader may follow no pointer.
    if (!aimed || !event.detail || aimed.item === this.shown) return;
    if (aimed.item !== undefined && event.target.closest("#back")) return; // going back answers nothing
    event.preventDefault();
    event.stopPropagation();
  }

  // Pictures answered, those among them that are not with the server yet.
  get done() {
    return this.received + this.outbox.waiting().filter((event) => !event.again && !event.round).length;
  }

  // Show the first item of the deck, once its picture is there; it can be answered once it is drawn.
  async next() {
    const item = this.deck.current;
    const turn = {};
    this.turn = turn;
    this.coming = item;
    this.shown = null;
    this.field.setAttribute("aria-busy", "true");
    if (!item) return this.showNothing();
    const slow = setTimeout(() => {
      if (this.turn !== turn) return;
      this.options.clear(); // or it would seem that the key was not heard
      this.message("Loading the picture…");
    }, SLOW_MS);
    try {
      await this.options.ready(item);
    } catch {
      if (this.turn === turn) await this.replace(item);
      return;
    } finally {
      clearTimeout(slow);
    }
    if (this.turn !== turn) return;
    this.message(null);
    this.options.show(item);
    this.update();
    await drawn();
    if (this.turn !== turn) return;
    this.shown = item;
    this.since = performance.now();
    this.options.mark?.(Session.answerOf(item));
    this.field.setAttribute("aria-busy", "false");
  }

  // A picture that cannot be shown is reported and replaced.
  async replace(item) {
    const broken = item.broken || item;
    let gone = true;
    let said = "It was reported, and replaced.";
    try {
      gone = !(await this.api.post(`${broken.src}problem`, {})).shown;
    } catch {
      gone = navigator.onLine && this.deck.error === null;
      said = "It was replaced.";
    }
    if (gone) {
      this.deck.drop(item);
      toast(`A picture could not be shown. ${said}`);
    } else {
      this.message("Waiting for the network…");
      await new Promise((resolve) => setTimeout(resolve, 2000));
      unload(broken);
    }
    this.next();
  }

  // event: kind and what belongs to it; the item remembers its answer.
  answer(event, remembered) {
    const item = this.shown;
    if (!item) return;
    const again = item.answer !== undefined || item.value !== undefined;
    const elapsed_ms = Math.round(performance.now() - this.since);
    item.event = this.outbox.add({ ...event, again, round: item.round, elapsed_ms, replaces: item.event });
    item.answer = remembered;
    if (!again) {
      this.answered += 1;
      this.pace.tick();
      this.celebrate();
    }
    this.forward();
  }

  // Leave an item that was looked at again as it is.
  forward() {
    this.deck.advance();
    this.next();
    this.update();
  }

  skip() {
    if (!this.shown) return;
    const { answer, value } = this.shown;
    if (answer === null || (answer === undefined && value === null)) return this.forward();
    this.answer({ kind: "skip", ...this.options.about(this.shown) }, null);
    announce("Skipped");
  }

  // A swipe on: what is new is skipped, what was looked at again keeps its answer.
  pass() {
    if (this.shown && Session.answerOf(this.shown) !== undefined) this.forward();
    else this.skip();
  }

  back() {
    if (!this.deck.past.length) return toast("There is nothing to go back to.");
    this.deck.back();
    this.next();
    announce("Undo: change the last rating");
  }

  celebrate() {
    if (MILESTONES.includes(this.answered) || (this.answered && this.answered % 1000 === 0)) {
      toast(`${this.answered} rated this session.`);
    }
  }

  update() {
    const state = this.deck.state;
    if (state) this.pace.show(this.done, state.total && Math.max(state.total, this.done), this.options.unit);
    const last = this.deck.past.at(-1);
    const back = document.getElementById("back");
    back.disabled = !last;
    back.classList.toggle("has-picture", Boolean(last));
    document.getElementById("last").replaceChildren(...(last ? this.thumbnail(last) : []));
  }

  thumbnail(item) {
    const image = new Image();
    image.alt = "";
    const [picture] = item.pictures || [item];
    image.src = picture.image?.src || address(picture, side()); // here already
    const text = document.createElement("b");
    text.textContent = this.options.describe(item);
    return [image, text];
  }

  // The value an item has, from here or from another device; undefined where it has none.
  static answerOf(item) {
    return item.answer !== undefined ? item.answer : item.value;
  }

  showSync() {
    const sync = document.getElementById("sync");
    const waiting = this.outbox.waiting().length;
    const { problem } = this.outbox;
    sync.dataset.state = problem ? "problem" : "saved";
    if (!problem || !waiting) sync.textContent = "";
    else if (problem === "offline") sync.textContent = `Offline: ${waiting} kept here`;
    else sync.textContent = `${waiting} kept here. ${problem}`;
  }

  showNothing() {
    this.options.clear();
    const { state, error, filling, skippedUntil } = this.deck;
    if (error?.status === 401) return this.message("You are signed out here. Open your invitation or your own link again: nothing is lost.");
    if (error?.status) return this.message(error.message);
    if (this.outbox.problem) return this.message("Waiting for the network: what you said is kept here.");
    if (!state || error) return this.message(error ? "The server cannot be reached. Trying again…" : "Loading…");
    if (filling || this.outbox.sending) return this.message("Loading…");
    if (state.pending && state.note) {
      setTimeout(() => this.deck.fill(true), NOTE_MS); // the model may be mended meanwhile
      return this.message(state.note);
    }
    if (state.pending && skippedUntil === null) {
      setTimeout(() => this.deck.fill(true), 1000);
      return this.message(this.options.waiting || "Looking for pictures…");
    }
    this.finish(state);
  }

  finish(state) {
    this.field.setAttribute("aria-busy", "false");
    const box = this.message(this.done ? "All done. Thank you!" : "There is nothing to rate here.");
    box.classList.add("finished");
    if (this.done) box.append(line(`You gave ${this.done} answer${this.done === 1 ? "" : "s"}.`));
    box.append(document.getElementById("onward").content.cloneNode(true));
    if (state.skipped && this.deck.skippedUntil === null) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button primary";
      button.textContent = state.skipped === 1 ? "Look at the one you skipped" : `Look at the ${state.skipped} you skipped`;
      button.addEventListener("click", () => {
        this.deck.skippedUntil = "";
        this.deck.past = [];
        this.deck.fill(true);
      });
      box.querySelector(".onward").prepend(button);
    }
  }

  // Text in place of the picture; null takes it away.
  message(text) {
    const box = document.getElementById("message");
    box.classList.remove("finished");
    box.hidden = text === null;
    box.replaceChildren(...(text === null ? [] : [line(text)]));
    return box;
  }
}

function line(text) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  return paragraph;
}
