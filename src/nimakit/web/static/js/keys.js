// Keys, the buttons that do the same, and the page that shows them: one list says what there is.

export class Keys {
  constructor() {
    this.bindings = new Map();
    this.dialog = document.getElementById("help");
    this.menu = document.querySelector("details.menu");
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("mousedown", leaveKeys);
    const button = document.getElementById("help-button");
    this.add(["?"], "All keys and gestures", () => this.dialog.showModal(), { button });
  }

  // keys: KeyboardEvent.key values; shown: how they are written in the help; action gets the event; repeat: a key
  // held down does it again and again, and a double click does it twice; button: does the same, and names its keys.
  add(keys, text, action, { shown = keys.map(named), repeat = false, button = null } = {}) {
    for (const key of keys) this.bindings.set(key.toLowerCase(), { action, repeat });
    if (text) this.row(shown, text);
    if (!button) return;
    button.addEventListener("click", (event) => {
      if (repeat || event.detail < 2) action(event);
    });
    const name = button.getAttribute("aria-label") || button.textContent.trim();
    button.title = keys.length ? `${name} (${shown.join(" or ")})` : name;
    if (keys.length) button.setAttribute("aria-keyshortcuts", keys.map(shortcut).join(" "));
  }

  // A line of the help: for gestures, too.
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
    if (this.dialog.open || this.menu?.open || event.target.closest("input, textarea, select")) return;
    // A button that Tab went to is pressed by these, once for each press; what they do otherwise must wait.
    if (event.target.closest("button, a, summary") && (event.key === "Enter" || event.key === " ")) {
      if (event.repeat) event.preventDefault();
      return;
    }
    const binding = this.bindings.get(event.key.toLowerCase());
    if (!binding || (event.repeat && !binding.repeat)) return;
    event.preventDefault();
    binding.action(event);
    // From here on Enter gives what this key has chosen, and not the button that Tab went to before.
    if (!this.dialog.open) document.activeElement.blur();
  }
}

// A button that is clicked or tapped takes no focus: the next Enter or Space would press it again.
function leaveKeys(event) {
  if (!event.target.closest("button, summary")) return;
  event.preventDefault();
  document.activeElement.blur();
}

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫" };
const SHORTCUTS = { " ": "Space", "+": "Plus" };

function named(key) {
  return NAMES[key] || (key.length === 1 ? key.toUpperCase() : key);
}

// A key as aria-keyshortcuts has it.
function shortcut(key) {
  return SHORTCUTS[key] || key;
}
