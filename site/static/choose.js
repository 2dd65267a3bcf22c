/* The way into a comparison from the menu: a track, then two to six of its editors. Shows only while nothing is compared. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const MOST = 6;
  const SHOWN = 60;
  const box = document.getElementById("choose");
  const select = document.getElementById("choose-track");
  const find = document.getElementById("choose-find");
  const list = document.getElementById("choose-list");
  const go = document.getElementById("choose-go");
  let rows = [];
  let picked = [];

  const coursesOf = function (row) { return row.counted || row.runs.map(function (run) { return run[0]; }); };

  function load() {
    const track = select.value;
    picked = [];
    if (!track) return;
    P.need("rows/" + track, "data/track/" + track + "/rows.js").then(function (found) {
      if (select.value !== track) return;
      rows = found.rows;
      draw();
    });
  }

  function pick(row, on) {
    picked = picked.filter(function (one) { return one !== row; }).concat(on ? [row] : []);
    say();
  }

  function say() {
    go.disabled = picked.length < 2;
    go.textContent = picked.length < 2 ? "Compare" : "Compare " + picked.length + " side by side";
    list.querySelectorAll("input").forEach(function (input) { input.disabled = picked.length >= MOST && !input.checked; });
    document.getElementById("choose-note").textContent = picked.length === 0 ? "Two to six; the first one is what the others are compared with."
      : picked.length === 1 ? picked[0].label + " comes first. One more, at least." : picked.length === MOST ? "Six, which is the most." : "";
  }

  function draw() {
    const wanted = find.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    const fitting = rows.filter(function (row) { const label = row.label.toLocaleLowerCase("en"); return wanted.every(function (word) { return label.includes(word); }); });
    list.replaceChildren(...fitting.slice(0, SHOWN).map(function (row) {
      return el("label", {},
        el("input", { type: "checkbox", autocomplete: "off", checked: picked.includes(row), on: { change: function (event) { pick(row, event.currentTarget.checked); } } }),
        P.swatch(row.look), el("span", { class: "name" }, row.label), el("span", { class: "span" }, row.effective[0] + " effective edits"));
    }));
    document.getElementById("choose-rest").textContent = fitting.length > SHOWN ? "The first " + SHOWN + " of " + fitting.length + "; find the others by name." : fitting.length ? "" : "No editor fits.";
    say();
  }

  select.addEventListener("change", load);
  find.addEventListener("input", draw);
  go.addEventListener("click", function () {
    window.location.hash = "runs=" + picked.map(function (row) { return coursesOf(row).join("."); }).join(",");
  });
  document.addEventListener("palimpsest:columns", function (event) {
    const empty = event.detail === 0;
    document.getElementById("compare").classList.toggle("is-empty", empty);
    box.hidden = !empty;
    if (empty) load();
  });
})();
