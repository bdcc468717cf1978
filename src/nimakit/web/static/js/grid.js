// The groups of a cull: the suggested picture first. Each group is one stop for Tab; arrows move between pictures.

import { address } from "./pictures.js";
import { _, ngettext, number } from "./texts.js";

const THUMBNAIL = 480;
export const MOST_REASONS = 3; // that are shown; all are read out

export class Grid {
  // decisions: Decisions; open(): compares the group of the current picture; moved(): another picture is current.
  constructor(holder, decisions, { open, moved }) {
    this.holder = holder;
    this.decisions = decisions;
    this.moved = moved;
    this.groups = [];
    this.current = null; // { group, frame }
    this.buttons = new Map(); // picture id -> button
    this.matches = () => true;
    holder.addEventListener("focusin", (event) => this.select(this.at(event.target)));
    holder.addEventListener("click", (event) => {
      const at = this.at(event.target);
      if (!at) return;
      if (at.frame === this.current?.frame) open();
      else this.focus(at);
    });
  }

  at(element) {
    const id = Number(element.closest(".frame")?.dataset.id);
    const group = this.groups.find((one) => one.frames.some((frame) => frame.id === id));
    return group && { group, frame: group.frames.find((frame) => frame.id === id) };
  }

  // Show groups; those the rater has seen keep the order of their pictures.
  show(groups) {
    const seen = new Map(this.groups.filter((group) => this.isSeen(group)).map((group) => [keyOf(group), group]));
    this.groups = groups.map((group) => seen.get(keyOf(group)) || group);
    const focused = this.buttons.get(this.current?.frame.id) === document.activeElement;
    const id = this.current?.frame.id;
    const group = this.groups.find((one) => one.frames.some((frame) => frame.id === id));
    this.current = group ? { group, frame: group.frames.find((frame) => frame.id === id) } : null;
    this.draw();
    if (this.current && focused) this.buttons.get(id).focus({ preventScroll: true });
  }

  isSeen(group) {
    return group.seen || group.frames.some(({ id }) => this.decisions.of(id).flag || this.decisions.of(id).stars);
  }

  draw() {
    const sections = new Map([...this.holder.children].map((one) => [one.dataset.key, one]));
    this.buttons.clear();
    const drawn = this.groups.map((group) => {
      const key = group.frames.map((frame) => frame.id).join(" ");
      const section = sections.get(key) || this.section(group, key);
      for (const button of section.querySelectorAll(".frame")) this.buttons.set(Number(button.dataset.id), button);
      return section;
    });
    if (drawn.some((section, place) => section !== this.holder.children[place])) this.holder.replaceChildren(...drawn);
    while (this.holder.children.length > drawn.length) this.holder.lastChild.remove();
    this.update();
  }

  section(group, key) {
    const section = document.createElement("section");
    section.className = `group group-${group.kind.replace(" ", "-")}`;
    section.dataset.key = key;
    section.setAttribute("role", "group");
    const name = document.createElement("p");
    name.className = "group-name";
    name.textContent = nameOf(group);
    section.setAttribute("aria-label", name.textContent);
    const frames = document.createElement("div");
    frames.className = "frames";
    frames.append(...group.frames.map((frame) => button(frame)));
    section.append(name, frames);
    return section;
  }

  // Show the decisions, which picture is current, and which pictures match the filter.
  update() {
    for (const group of this.groups) {
      const shown = group.frames.filter((frame) => this.matches(this.decisions.of(frame.id)));
      const current = group === this.current?.group ? this.current.frame : null;
      const stop = shown.includes(current) ? current : shown.includes(group.last) ? group.last : shown[0];
      for (const frame of group.frames) {
        const element = this.buttons.get(frame.id);
        element.hidden = !shown.includes(frame);
        element.tabIndex = frame === stop ? 0 : -1;
        element.classList.toggle("current", frame === current);
        mark(element, this.decisions.of(frame.id), describe(frame, group, this.decisions.of(frame.id)));
        const text = element.querySelector(".frame-text");
        text.textContent = reason(frame, group, MOST_REASONS);
        element.classList.toggle("suggested", isSuggested(frame, group));
      }
      this.buttons.get(group.frames[0].id).closest(".group").hidden = !shown.length;
    }
  }

  select(at) {
    if (!at || at.frame === this.current?.frame) return;
    this.current = at;
    at.group.seen = true;
    at.group.last = at.frame;
    this.update();
    this.moved();
  }

  focus(at) {
    if (!at) return;
    this.select(at);
    const element = this.buttons.get(at.frame.id);
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  }

  // The pictures that are shown, in order, with their groups.
  shown() {
    return this.groups.flatMap((group) =>
      group.frames.filter((frame) => !this.buttons.get(frame.id).hidden).map((frame) => ({ group, frame })),
    );
  }

  // Move by so many pictures, also into other groups.
  move(by) {
    const all = this.shown();
    const place = all.findIndex(({ frame }) => frame === this.current?.frame);
    this.focus(all[place < 0 ? 0 : place + by]);
  }

  // Move to the next group, or with -1 to the previous one; false if there is none.
  moveGroup(by) {
    const all = this.shown();
    const groups = [...new Set(all.map(({ group }) => group))];
    const group = groups[groups.indexOf(this.current?.group) + by];
    if (!group) return false;
    const last = all.find(({ frame }) => frame === group.last);
    this.focus(last || all.find((one) => one.group === group));
    return true;
  }
}

function keyOf(group) {
  return group.frames.map((frame) => frame.id).sort((a, b) => a - b).join(" ");
}

function button(frame) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "frame";
  element.dataset.id = frame.id;
  const image = document.createElement("img");
  image.loading = "lazy";
  image.alt = "";
  image.src = address(frame, THUMBNAIL);
  const marks = document.createElement("span");
  marks.className = "frame-marks";
  const text = document.createElement("span");
  text.className = "frame-text";
  element.append(image, marks, text);
  return element;
}

// Show a decision on an element that has .frame-marks.
export function mark(element, { flag, stars }, label) {
  element.classList.toggle("picked", flag === "pick");
  element.classList.toggle("rejected", flag === "reject");
  const flagged = { pick: "✓", reject: "✕" }[flag] || "";
  element.querySelector(".frame-marks").textContent = [flagged, "★".repeat(stars || 0)].filter(Boolean).join(" ");
  if (label) element.setAttribute("aria-label", label);
}

export function isSuggested(frame, group) {
  return group.frames.length > 1 && !group.whole && frame === group.frames[0];
}

export function reason(frame, group, most = Infinity) {
  const reasons = frame.reasons.slice(0, most).join("; ");
  if (isSuggested(frame, group)) return reasons ? _("Suggested: %(reasons)s", { reasons }) : _("Suggested");
  return reasons;
}

export function titleOf(frame) {
  return frame.name || _("Photograph %(id)s", { id: frame.id });
}

// A picture and its decision in words.
export function describe(frame, group, decision) {
  return [titleOf(frame), reason(frame, group), inWords(decision)].filter(Boolean).join(", ");
}

export function inWords({ flag, stars }) {
  const flagged = { pick: _("picked"), reject: _("rejected") }[flag];
  const words = [flagged, stars && ngettext("%(num)s star", "%(num)s stars", stars)];
  return words.filter(Boolean).join(", ");
}

export function nameOf({ kind, frames, whole, scene }) {
  if (frames.length === 1) return scene === null ? _("Not grouped yet") : _("Single");
  const num = number(frames.length);
  const name = {
    duplicates: _("Duplicates, %(num)s", { num }),
    burst: _("Burst of %(num)s", { num }),
    bracket: _("Bracket of %(num)s", { num }),
    "focus stack": _("Focus stack of %(num)s", { num }),
    panorama: _("Panorama of %(num)s", { num }),
  }[kind];
  return whole ? _("%(group)s, kept whole", { group: name }) : name;
}
