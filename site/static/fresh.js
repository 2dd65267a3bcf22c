/* Rows that came less than seven days ago are marked as new. The day is the reader's, so that the page need not be built
   anew every day; what a page's markup dates has data-came, and rows of a track are found by their runs. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const DAYS = 7;

  function isNew(day) {
    const age = (Date.now() - Date.parse(day)) / 86400000;
    return age > -1 && age < DAYS;
  }
  const mark = function (day) { return P.el("span", { class: "chip fresh", title: "Came on " + day }, "new"); };

  document.querySelectorAll("[data-came]").forEach(function (place) {
    if (isNew(place.dataset.came)) place.after(" ", mark(place.dataset.came));
  });

  const table = document.getElementById("board");
  if (!table) return;
  P.need("arrivals", "data/arrivals.js").then(function (came) {
    const draw = function () {
      table.querySelectorAll("tbody tr[data-row]").forEach(function (line) {
        const row = P.board.byId(line.dataset.row);
        const day = row ? row.runs.map(function (run) { return came[run[0]]; }).filter(Boolean).sort()[0] : "";
        const place = line.querySelector(".editor .span");
        if (day && isNew(day) && !line.querySelector(".fresh")) (place || line.querySelector(".editor")).prepend(mark(day), " ");
      });
    };
    document.addEventListener("palimpsest:rows", draw);
    if (P.board) draw();
  });
})();
