/* Light, dark or as the system says. Runs in <head>, before the first paint, so that nothing flashes. */
(function () {
  "use strict";
  const KEY = "palimpsest-theme";
  const ORDER = ["system", "light", "dark"];
  const root = document.documentElement;

  /* Storage can be refused (private windows, some file:// settings); the switch then lasts for the page. */
  function remembered() {
    try {
      const value = window.localStorage.getItem(KEY);
      return ORDER.includes(value) ? value : "system";
    } catch (_) {
      return "system";
    }
  }

  function remember(value) {
    try {
      window.localStorage.setItem(KEY, value);
    } catch (_) { /* nothing to do: see above */ }
  }

  function apply(value) {
    if (value === "system") delete root.dataset.theme;
    else root.dataset.theme = value;
    document.dispatchEvent(new CustomEvent("palimpsest:theme"));
  }

  let current = remembered();
  root.classList.add("js");
  apply(current);

  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme-switch");
    if (!button) return;
    const name = button.querySelector("[data-theme-name]");
    const show = function () {
      name.textContent = current;
      button.setAttribute("aria-label", "Colour theme: " + current + ". Press to change.");
    };
    button.addEventListener("click", function () {
      current = ORDER[(ORDER.indexOf(current) + 1) % ORDER.length];
      remember(current);
      apply(current);
      show();
    });
    show();
  });

  /* On paper always light; the charts redraw on the same event. */
  window.addEventListener("beforeprint", function () { apply("light"); });
  window.addEventListener("afterprint", function () { apply(current); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    document.dispatchEvent(new CustomEvent("palimpsest:theme"));
  });
})();
