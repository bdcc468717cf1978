// Scroll the tabs to the current one, which may be out of view on a narrow screen.

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center", behavior: "instant" });
