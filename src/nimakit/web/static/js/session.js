// What all rating pages share: the deck, the outbox, progress, undo, skipping and messages.

import { Api } from "./api.js";
import { Deck } from "./deck.js";
import { Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { address, drawn, side, unload } from "./pictures.js";
import { Practice } from "./practice.js";
import { showSync } from "./sync.js";
import { _, ngettext, number } from "./texts.js";
import { announce, toast } from "./toasts.js";
import { Watch } from "./watch.js";

const MILESTONES = [10, 50, 100, 250, 500];
const SLOW_MS = 300;
const NOTE_MS = 5000; // before asking again whether scores are predicted
const BREAK_AFTER_MS = 30 * 60000;

export class Session {
  // options: deck (path below the collection), counted(count): "7 pictures", show(item), clear(), describe(item) for the undo
  // button, ready(item): a promise that its pictures can be shown, mark(answer): shows the earlier answer, if any,
  // undo(): takes back a part of an answer that was not sent yet; false if there is none.
  constructor(options) {
    this.options = options;
    this.field = document.getElementById("main");
    const { base, collection, rater, session, practice } = this.field.dataset;
    this.low = Number(this.field.dataset.low);
    this.high = Number(this.field.dataset.high);
    this.api = new Api(session);
    this.outbox = practice ? new Practice(this.api, practice) : new Outbox(this.api, `${base}events`, collection, rater);
    this.deck = new Deck(this.api, practice || base + options.deck, this.outbox);
    this.maySkip = !document.getElementById("skip").hidden; // studies may want an answer to every picture
    this.isStudy = "study" in this.field.dataset; // whose raters are not hurried
    this.pace = new Pace(this.isStudy ? null : document.getElementById("pace"));
    this.keys = new Keys();
    this.watch = new Watch();
    this.question = document.querySelector(".question");
    this.usual = this.question.textContent;
    this.received = 0; // first answers stored on the server
    this.answered = 0; // in this session
    this.coming = undefined; // the item that is shown, or shown next
    this.shown = null; // the item to answer, once it is drawn
    this.listen();
    this.outbox.flush();
    this.deck.fill(true);
  }

  listen() {
    this.deck.addEventListener("filled", () => {
      const { state, error } = this.deck;
      const { sending, answered } = this.outbox;
      if (state && !error && !sending && this.deck.asked === answered) this.received = state.done;
      this.update();
      if (!this.deck.current || this.coming !== this.deck.current) this.next();
    });
    this.outbox.addEventListener("change", () => showSync(this.outbox));
    this.outbox.addEventListener("sent", (event) => {
      this.received = event.detail.done;
      this.update();
      if (!this.deck.current) this.deck.fill(true);
    });
    this.outbox.addEventListener("refused", (event) => toast(_("A rating was not accepted: %(reason)s", { reason: event.detail })));
    document.addEventListener("pointerdown", () => this.aim(), true);
    for (const part of [this.field, document.getElementById("answers")]) {
      part.addEventListener("click", (event) => this.passOver(event), true);
    }
    setTimeout(() => toast(_("You have been rating for half an hour. A short break keeps your eye fresh.")), BREAK_AFTER_MS);
  }

  bindCommon() {
    const [skip, back] = ["skip", "back"].map((id) => document.getElementById(id));
    if (this.maySkip) this.keys.add(["s"], _("Skip"), () => this.skip(), { button: skip });
    this.keys.add(["z", "Backspace"], _("Undo: go back and change the last rating"), () => this.back(), { repeat: true, button: back });
  }

  // Remember what is shown when a pointer goes down. With an open menu, the click only closes the menu.
  aim() {
    this.aimed = { item: this.keys.menu.open ? undefined : this.shown };
  }

  // Ignore a click that began on another picture, or before this one was drawn.
  passOver(event) {
    const { aimed } = this;
    this.aimed = null;
    // Clicks from the keyboard have no detail; those of screen readers may follow no pointer.
    if (!aimed || !event.detail || aimed.item === this.shown) return;
    if (aimed.item !== undefined && event.target.closest("#back")) return; // undo answers nothing
    event.preventDefault();
    event.stopPropagation();
  }

  // Number of answered pictures, including answers not sent yet.
  get done() {
    return this.received + this.outbox.waiting().filter((event) => !event.again && !event.round && !event.check).length;
  }

  // Show the first item of the deck once its picture is loaded; it can be answered once it is drawn.
  async next() {
    const item = this.deck.current;
    const turn = {};
    this.turn = turn;
    if (this.shown) this.shown.looked = this.watch.end();
    this.coming = item;
    this.shown = null;
    this.field.setAttribute("aria-busy", "true");
    if (!item) return this.showNothing();
    const slow = setTimeout(() => {
      if (this.turn !== turn) return;
      this.options.clear(); // otherwise the key would seem to have had no effect
      this.message(_("Loading the picture…"));
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
    this.ask(item);
    this.update();
    await drawn();
    if (this.turn !== turn) return;
    this.shown = item;
    this.watch.start(item.looked || 0);
    this.options.mark?.(Session.answerOf(item));
    this.field.setAttribute("aria-busy", "false");
  }

  // Show the question, or the instruction of an attention check.
  ask(item) {
    this.question.textContent = item.question || this.usual;
    this.question.classList.toggle("instructed", Boolean(item.check));
    if (item.check) announce(item.question);
  }

  // A picture that cannot be shown is reported and replaced.
  async replace(item) {
    const broken = item.broken || item;
    let gone = true;
    let outcome = _("It was reported and replaced.");
    try {
      gone = !(await this.api.post(`${broken.src}problem`, {})).shown;
    } catch {
      gone = navigator.onLine && this.deck.error === null;
      outcome = _("It was replaced.");
    }
    if (gone) {
      this.deck.drop(item);
      toast(_("A picture could not be shown. %(outcome)s", { outcome }));
    } else {
      this.message(_("Waiting for the network…"));
      await new Promise((resolve) => setTimeout(resolve, 2000));
      unload(broken);
    }
    this.next();
  }

  // Send an event with its kind and values; the item remembers the answer.
  answer(event, remembered) {
    const item = this.shown;
    if (!item) return;
    const again = item.answer !== undefined || item.value !== undefined;
    const elapsed_ms = Math.round(this.watch.ms);
    const what = item.check ? this.checked(item, remembered) : { ...event, again, round: item.round };
    item.event = this.outbox.add({ ...what, elapsed_ms, replaces: item.event }, item);
    item.answer = remembered;
    if (!again && !item.check) {
      this.answered += 1;
      this.pace.tick();
      this.celebrate();
    }
    this.forward();
  }

  // The answer to an attention check, which rates nothing: a rating, or the place of the (best) picture from 1.
  checked(item, answer) {
    const place = answer?.best ?? answer;
    const value = typeof place === "number" ? place + (item.pictures ? 1 : 0) : null;
    return { kind: "check", check: item.check, image: item.id, value };
  }

  // Move past an item and keep its answer.
  forward() {
    this.deck.advance();
    if (this.field.dataset.practice) this.deck.past = []; // in practice the first answer counts
    this.next();
    this.update();
  }

  skip() {
    if (!this.shown || !this.maySkip) return;
    const { answer, value } = this.shown;
    if (answer === null || (answer === undefined && value === null)) return this.forward();
    this.answer({ kind: "skip", ...this.options.about(this.shown) }, null);
    announce(_("Skipped"));
  }

  // A swipe forward: a new item is skipped, an answered one keeps its answer.
  pass() {
    if (this.shown && Session.answerOf(this.shown) !== undefined) this.forward();
    else this.skip();
  }

  back() {
    if (this.options.undo?.()) return;
    if (!this.deck.past.length) return toast(_("There is nothing to undo."));
    this.deck.back();
    this.next();
    announce(_("Undo: change the last rating"));
  }

  celebrate() {
    if (this.isStudy) return;
    if (MILESTONES.includes(this.answered) || (this.answered && this.answered % 1000 === 0)) {
      toast(_("%(count)s rated this session.", { count: number(this.answered) }));
    }
  }

  update() {
    const state = this.deck.state;
    if (state) this.pace.show(this.done, state.total && Math.max(state.total, this.done), this.options.counted);
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
    image.src = picture.image?.src || address(picture, side()); // loaded already
    const text = document.createElement("b");
    text.textContent = this.options.describe(item);
    return [image, text];
  }

  // The answer of an item, from this or another device; undefined if it has none.
  static answerOf(item) {
    return item.answer !== undefined ? item.answer : item.value;
  }

  showNothing() {
    this.options.clear();
    const { state, error, filling, skippedUntil } = this.deck;
    if (error?.status === 401) return this.message(_("You are signed out. Open your invitation or personal link again: nothing is lost."));
    if (error?.status) return this.message(error.message);
    if (this.outbox.problem) return this.message(_("Waiting for the network. Your ratings are saved on this device."));
    if (!state || error) return this.message(error ? _("The server cannot be reached. Trying again…") : _("Loading…"));
    if (filling || this.outbox.sending) return this.message(_("Loading…"));
    if (state.pending && state.note) {
      setTimeout(() => this.deck.fill(true), NOTE_MS); // the model may work again by then
      return this.message(state.note);
    }
    if (state.pending && skippedUntil === null) {
      setTimeout(() => this.deck.fill(true), 1000);
      return this.message(this.options.waiting || _("Looking for pictures…"));
    }
    this.finish(state);
  }

  finish(state) {
    const { result } = this.field.dataset;
    if (result) return this.outbox.leave(result);
    this.field.setAttribute("aria-busy", "false");
    const end = document.getElementById("onward").content.querySelector("[data-end]");
    const rest = state.skipped ? _("You have seen everything. Rate what you skipped, or press Finish.") : _("You have answered everything. Press Finish.");
    const all = end ? rest : _("All done. Thank you!");
    const box = this.message(this.done ? all : _("There is nothing to rate here."));
    box.classList.add("finished");
    if (end && this.done && !state.skipped) fetch(end.getAttribute("href"), { redirect: "manual" }).catch(() => {}); // keeps the place of a rater who leaves now
    if (this.done) box.append(line(_("%(what)s done.", { what: this.options.counted(this.done) })));
    box.append(document.getElementById("onward").content.cloneNode(true));
    if (state.skipped && this.deck.skippedUntil === null) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button primary";
      button.textContent = ngettext("Rate the picture you skipped", "Rate the %(num)s you skipped", state.skipped);
      button.addEventListener("click", () => {
        this.deck.skippedUntil = "";
        this.deck.past = [];
        this.deck.fill(true);
      });
      box.querySelector(".onward").prepend(button);
    }
    box.querySelector("[data-end]")?.focus(); // Enter finishes a study
  }

  // Show text instead of the picture; null removes it.
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
