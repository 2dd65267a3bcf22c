/* Words about an element while the pointer is on it or it has the focus: data-hint has them, data-cut stands for the whole
   of a name that is cut off. Escape takes them away; the pointer may go over them (WCAG 1.4.13). */
(function () {
  "use strict";
  const P = window.palimpsest;
  const GAP = 6;
  const tip = P.el("div", { id: "hint", class: "hint", role: "tooltip", hidden: true });
  document.getElementById("main").append(tip);
  let shown = null;

  const isCut = function (node) { return node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 2; };

  function wordsOf(target) {
    if (target.dataset.hint) return target.dataset.hint;
    const name = target.querySelector(".name") || target;
    return isCut(name) ? name.textContent : "";
  }

  function show(target) {
    if (target === shown) return;
    hide();
    const words = wordsOf(target);
    if (!words) return;
    shown = target;
    tip.textContent = words;
    tip.hidden = false;
    target.setAttribute("aria-describedby", "hint");
    place();
  }

  function place() {
    const box = shown.getBoundingClientRect();
    const below = box.bottom + GAP + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(GAP, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - GAP)) + "px";
    tip.style.top = (below ? box.bottom : Math.max(0, box.top - tip.offsetHeight)) + "px";
  }

  function hide() {
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  }

  const near = function (node) { return node instanceof Element ? node.closest("[data-hint], [data-cut]") : null; };
  document.addEventListener("pointerover", function (event) {
    if (tip.contains(event.target)) return;
    const target = near(event.target);
    if (target) show(target);
    else if (shown && shown !== document.activeElement) hide();
  });
  document.addEventListener("focusin", function (event) { const target = near(event.target); if (target) show(target); else hide(); });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") hide(); });
  window.addEventListener("scroll", function () { if (shown && (shown === document.activeElement || shown.matches(":hover"))) place(); else hide(); }, { passive: true, capture: true });
})();
