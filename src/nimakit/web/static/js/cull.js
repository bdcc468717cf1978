// The Cull experiment: pick the best of each group.

import { Api, Refused } from "./api.js";
import { Compare } from "./compare.js";
import { Decisions } from "./decisions.js";
import { describe, Grid, inWords } from "./grid.js";
import { Keys } from "./keys.js";
import { bindExports } from "./exports.js";
import { showSync } from "./sync.js";
import { _, ngettext, number } from "./texts.js";
import { announce, toast } from "./toasts.js";

const PENDING_MS = 4000; // between questions while pictures are scored and grouped
const IDLE_MS = 30000;
const LEARN_MS = 1200; // after a decision, before the groups are ranked again

const field = document.getElementById("main");
const { base, collection, rater, session } = field.dataset;
const api = new Api(session);
const decisions = new Decisions(api, `${base}events`, collection, rater);
const grid = new Grid(document.getElementById("groups"), decisions, { open: () => compare.open(), moved: showMarks });
const compare = new Compare(document.getElementById("compare"), grid, decisions);
const keys = new Keys({ keepsFocus: true });
const exported = bindExports(api, decisions.outbox);
let timer = null;

// Ask for the groups.
async function refresh() {
  clearTimeout(timer);
  let pause = IDLE_MS;
  try {
    const asked = decisions.asking();
    const answer = await api.get(`${base}cull/groups`);
    decisions.merge(answer.groups.flatMap((group) => group.frames), asked);
    if (!compare.isOpen) grid.show(answer.groups);
    exported.offer(answer);
    explain(answer);
    if (answer.pending) pause = PENDING_MS;
  } catch (error) {
    const signedOut = error instanceof Refused && error.status === 401;
    if (!grid.groups.length) message(signedOut ? _("You are signed out. Open your link again: nothing is lost.") : _("The server cannot be reached. Trying again…"));
    pause = PENDING_MS;
  }
  timer = setTimeout(refresh, pause);
}

function explain({ groups, pending, basis, note, comparisons, taste }) {
  field.setAttribute("aria-busy", "false");
  message(groups.length ? null : pending ? _("Looking for pictures…") : _("There is nothing to cull here."));
  const learned =
    comparisons &&
    ngettext("Ranked with %(num)s of your own comparison", "Ranked with %(num)s of your own comparisons", comparisons);
  const parts = [note, pending && _("Pictures are being scored and grouped…"), basis && _("Grouped by %(basis)s", { basis }), learned, taste && _("your taste counts")];
  document.getElementById("basis").textContent = parts.filter(Boolean).join(" · ");
}

function message(text) {
  const box = document.getElementById("message");
  box.hidden = text === null;
  box.textContent = text || "";
}

function showMarks() {
  const id = grid.current?.frame.id;
  const { flag, stars } = decisions.of(id);
  for (const button of document.querySelectorAll("[data-do]")) {
    const what = button.dataset.do;
    if (what === "undo") button.disabled = !decisions.steps.length;
    else button.disabled = id === undefined;
    if (what === "keep") button.disabled ||= grid.current.group.frames.length < 2;
    if (!button.hasAttribute("aria-pressed")) continue;
    const level = Number(what);
    button.setAttribute("aria-pressed", String(level ? level === stars : what === flag));
    button.classList.toggle("given", level ? level <= (stars || 0) : what === flag);
  }
}

function showProgress() {
  const all = [...decisions.known.values()];
  const picked = all.filter(({ flag }) => flag === "pick").length;
  const done = all.filter(({ flag, stars }) => flag || stars).length;
  document.getElementById("count").textContent = _("%(picked)s picked · %(done)s of %(total)s decided", {
    picked: number(picked),
    done: number(done),
    total: number(all.length),
  });
  const bar = document.getElementById("progress");
  bar.max = all.length || 1;
  bar.value = done;
}

decisions.addEventListener("change", () => {
  grid.update();
  compare.update();
  showMarks();
  showProgress();
});
decisions.outbox.addEventListener("change", () => showSync(decisions.outbox));
decisions.outbox.addEventListener("sent", () => {
  clearTimeout(timer);
  timer = setTimeout(refresh, LEARN_MS);
});
decisions.outbox.addEventListener("refused", (event) => {
  toast(_("A decision was not accepted: %(reason)s", { reason: event.detail }));
  refresh();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());

// Decide about the current picture; the same flag or stars again take them away.
function decide(field, value) {
  if (!grid.current) return;
  const { frame, group } = grid.current;
  const given = decisions.of(frame.id)[field];
  decisions.decide([{ image: frame.id, field, value: given === value ? null : value }]);
  announce(inWords(decisions.of(frame.id)) || _("%(picture)s: no decision", { picture: describe(frame, group, {}) }));
}

function keepOnly() {
  if (!grid.current || grid.current.group.frames.length < 2) return;
  const { frame, group } = grid.current;
  decisions.decide(group.frames.map((one) => ({ image: one.id, field: "flag", value: one === frame ? "pick" : "reject" })));
  announce(_("Picked, %(count)s rejected", { count: number(group.frames.length - 1) }));
}

function undo() {
  const step = decisions.undo();
  if (!step) return toast(_("There is nothing to undo."));
  const [{ image }] = step;
  const at = grid.shown().find(({ frame }) => frame.id === image);
  if (at && !compare.isOpen) grid.focus(at);
  const decision = inWords(decisions.of(image)) || _("no decision");
  announce(_("Undone: %(decision)s", { decision }));
}

function step(by) {
  if (!compare.isOpen) return grid.move(by);
  const { group, frame } = grid.current;
  const next = group.frames[group.frames.indexOf(frame) + by];
  if (!next) return;
  grid.select({ group, frame: next });
  compare.show();
  announce(describe(next, group, decisions.of(next.id)));
}

function stepGroup(by) {
  if (!compare.isOpen) return grid.moveGroup(by);
  if (!grid.moveGroup(by)) return toast(by > 0 ? _("This is the last group.") : _("This is the first group."));
  compare.open();
  const { group, frame } = grid.current;
  announce(describe(frame, group, decisions.of(frame.id)));
}

const ACTIONS = { undo, keep: keepOnly, pick: () => decide("flag", "pick"), reject: () => decide("flag", "reject") };
document.addEventListener(_("click"), (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (what) (ACTIONS[what] || (() => decide("stars", Number(what))))();
});

function arrow(dx, dy) {
  return (event) => {
    if (compare.isOpen && event.shiftKey) compare.pan(dx / 4, dy / 4);
    else if (dx) step(dx);
    else stepGroup(dy);
  };
}

keys.row(["Tab"], _("Next group"));
keys.add(["ArrowLeft"], null, arrow(-1, 0), { repeat: true });
keys.add(["ArrowRight"], null, arrow(1, 0), { repeat: true });
keys.row(["←", "→"], _("Previous or next photograph"));
keys.add(["ArrowUp", "PageUp"], null, arrow(0, -1), { repeat: true });
keys.add(["ArrowDown", "PageDown"], null, arrow(0, 1), { repeat: true });
keys.row(["↑", "↓"], _("Previous or next group"));
keys.add(["p"], _("Pick; again: no flag"), ACTIONS.pick);
keys.add(["x"], _("Reject; again: no flag"), ACTIONS.reject);
keys.add(["k"], _("Pick only this one, and reject the others of its group"), keepOnly);
for (let stars = 1; stars <= 5; stars++) keys.add([String(stars)], null, () => decide("stars", stars));
keys.row(["1", "…", "5"], _("Stars; again: none"));
keys.add(["u", "z", "Backspace"], _("Undo, also with Ctrl Z"), undo, { repeat: true });
keys.add(["c"], _("Compare the group side by side"), () => compare.open(), { button: document.getElementById("compare-button") });
keys.row([_("Enter")], _("Compare the group side by side"));
keys.add(["f", " "], _("100 % or fitted, in the comparison"), () => compare.isOpen && compare.toggle(), { button: document.getElementById("zoom") });
keys.add(["+", "="], null, () => compare.isOpen && compare.step(1), { repeat: true });
keys.add(["-"], null, () => compare.isOpen && compare.step(-1), { repeat: true });
keys.row(["+", "-"], _("Zoom in and out, also with the wheel or two fingers"));
keys.row([_("Shift ←"), "…"], _("Move what is shown, also by dragging"));
keys.add([], null, () => stepGroup(-1), { button: document.getElementById("previous") });
keys.add([], null, () => stepGroup(1), { button: document.getElementById("next") });
keys.row([_("Esc")], _("Back to all groups"));
keys.row([_("tap"), _("click")], _("Make a photograph the current one; again: compare its group"));
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  undo();
});

const flags = document.getElementById("flags");
const stars = document.getElementById("stars");
function filter() {
  const [flag, least] = [flags.value, stars.value];
  grid.matches = (decision) =>
    (!flag || (decision.flag || "none") === flag) &&
    (!least || (least === "none" ? !decision.stars : (decision.stars || 0) >= Number(least)));
  grid.update();
  announce(ngettext("%(num)s photograph", "%(num)s photographs", grid.shown().length));
}
flags.addEventListener("change", filter);
stars.addEventListener("change", filter);

document.getElementById("compare").addEventListener("close", refresh);
field.setAttribute("aria-busy", "true");
decisions.outbox.flush();
showMarks();
refresh();
