// On a narrow screen the tabs scroll, and the page's own may be out of sight.

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center", behavior: "instant" });
