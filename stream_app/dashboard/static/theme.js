// Light, dark, or as the system says; kept in this browser.

import { byId, say } from "./dom.js";

const order = ["auto", "light", "dark"];

export function themes(changed) {
  let now = order.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto";
  const button = byId("theme");
  const set = () => {
    if (now === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    say(button, `Theme: ${now}`);
    changed();
  };
  button.addEventListener("click", () => {
    now = order[(order.indexOf(now) + 1) % order.length];
    localStorage.setItem("theme", now);
    set();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  set();
}
