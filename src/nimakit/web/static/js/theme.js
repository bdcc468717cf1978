// The colour theme, stored in a cookie so that the server renders the page with it.

import { _ } from "./texts.js";

const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: _("Colours: same as system"), light: _("Colours: light"), dark: _("Colours: dark") };
const button = document.getElementById("theme");

function show(theme) {
  document.documentElement.dataset.theme = theme;
  button.dataset.theme = theme;
  button.setAttribute("aria-label", NAMES[theme]);
  button.title = NAMES[theme];
}

if (button) {
  show(document.documentElement.dataset.theme);
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(document.documentElement.dataset.theme) + 1) % ORDER.length];
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax`;
    show(next);
  });
}

// Menus close on a click outside, whatever else it does, and on Escape.
for (const menu of document.querySelectorAll("details.menu")) {
  const close = (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("click", close, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  });
}
