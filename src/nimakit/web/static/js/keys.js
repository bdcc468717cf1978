// Keyboard shortcuts, the buttons with the same actions, and the help that lists them.

import { _ } from "./texts.js";

export class Keys {
  // keepsFocus: whether what a key acts on is what has the focus.
  constructor({ keepsFocus = false } = {}) {
    this.keepsFocus = keepsFocus;
    this.bindings = new Map();
    this.dialog = document.getElementById("help");
    this.menu = document.querySelector("details.menu");
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("mousedown", leaveKeys);
    const button = document.getElementById("help-button");
    this.add(["?"], _("All shortcuts and gestures"), () => this.dialog.showModal(), { button });
  }

  // keys: KeyboardEvent.key values; shown: their names in the help; action: receives the event; repeat: whether a
  // key held down or a double click repeats the action; button: has the same action, and the keys in its title.
  add(keys, text, action, { shown = keys.map(named), repeat = false, button = null } = {}) {
    for (const key of keys) this.bindings.set(key.toLowerCase(), { action, repeat });
    if (text) this.row(shown, text);
    if (!button) return;
    button.addEventListener("click", (event) => {
      if (repeat || event.detail < 2) action(event);
    });
    const name = button.getAttribute("aria-label") || button.textContent.trim();
    button.title = keys.length ? `${name} (${shown.join(OR)})` : name;
    if (keys.length) button.setAttribute("aria-keyshortcuts", keys.map(shortcut).join(" "));
  }

  // Add a line to the help, also for gestures.
  row(shown, text) {
    const name = document.createElement("dt");
    for (const one of shown) {
      const key = document.createElement("kbd");
      key.textContent = one;
      name.append(key, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = text;
    document.getElementById("keys").append(name, meaning);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (this.dialog.open || document.getElementById("feedback")?.open || this.menu?.open || event.target.closest("input, textarea, select")) return;
    // Enter and Space press a focused button, once per key press, instead of their own actions.
    if (event.target.closest("button, a, summary") && (event.key === "Enter" || event.key === " ")) {
      if (event.repeat) event.preventDefault();
      return;
    }
    const binding = this.bindings.get(event.key.toLowerCase());
    if (!binding || (event.repeat && !binding.repeat)) return;
    event.preventDefault();
    binding.action(event);
    // Remove the focus, so that Enter submits what this key chose instead of pressing a button.
    if (!this.dialog.open && !this.keepsFocus) document.activeElement.blur();
  }
}

// Clicked buttons take no focus: the next Enter or Space would press them again.
function leaveKeys(event) {
  if (!event.target.closest("button, summary")) return;
  event.preventDefault();
  document.activeElement.blur();
}

const OR = _(" or ");
const NAMES = { " ": _("Space"), Escape: _("Escape"), Enter: _("Enter"), ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫" };
const SHORTCUTS = { " ": "Space", "+": "Plus" };

function named(key) {
  return NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);
}

// A key in the syntax of aria-keyshortcuts.
function shortcut(key) {
  return SHORTCUTS[key] || key;
}
