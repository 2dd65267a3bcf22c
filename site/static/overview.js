/* The overview: sorted by an editor's name or by one track, searched, and made whole when that is asked for.

   The rows are those of the page itself; the ones that it leaves out come in a data file, before the first sorting. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const table = document.getElementById("overview");
  const more = document.getElementById("more");
  const find = document.getElementById("find");
  const heads = Array.from(table.tHead.querySelectorAll("[data-column]"));
  const FIRST = "-0";
  let whole = !more;

  /* An old address of the leaderboard names its track. */
  const asked = new URLSearchParams(window.location.hash.slice(1)).get("track");
  if (asked && /^[0-9a-z]+$/.test(asked)) {
    window.location.replace(P.root + "track/" + asked + ".html" + window.location.hash);
    return;
  }

  const titleOf = function (row) { return row.querySelector(".name").textContent; };

  function line([title, file, cells]) {
    return el("tr", {},
      el("th", { scope: "row", class: "editor" }, el("a", { class: "to-editor", href: P.root + "editor/" + file + ".html", data: { cut: "" } }, el("span", { class: "name" }, title))),
      el("td", { class: "num" }, cells.filter(Boolean).length),
      cells.map(function (cell) {
        if (!cell) return el("td", {});
        const [text, rank, words, sort, first] = cell;
        return el("td", { class: first ? "num first" : "num", title: words || null, data: { sort: sort === null ? "" : sort } }, el("span", { class: "value" }, text), el("span", { class: "span" }, rank));
      }));
  }

  function complete() {
    if (whole) return Promise.resolve();
    return P.need("overview", more.dataset.rest).then(function (rest) {
      if (whole) return;
      whole = true;
      table.tBodies[0].append(...rest.map(line));
      more.hidden = true;
    });
  }

  function keyOf(row, column) {
    if (column === "editor") return titleOf(row).toLocaleLowerCase("en");
    if (column === "tracks") return Number(row.cells[1].textContent);
    const text = row.cells[Number(column) + 2].dataset.sort;
    return text ? Number(text) : null;
  }

  const sortOf = function () {
    const found = new URLSearchParams(window.location.hash.slice(1)).get("sort") || FIRST;
    return heads.some(function (head) { return head.dataset.column === found.replace(/^-/, ""); }) ? found : FIRST;
  };

  /* Editors that are not on a track stay at the end in both directions; ties are in the order of names. */
  function sorted(rows, sort) {
    const down = sort.startsWith("-") ? -1 : 1;
    const keyed = rows.map(function (row) { return { row, key: keyOf(row, sort.replace(/^-/, "")), title: titleOf(row) }; });
    keyed.sort(function (a, b) {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.title.localeCompare(b.title, "en");
      return a.key === b.key ? a.title.localeCompare(b.title, "en") : (a.key < b.key ? -1 : 1) * down;
    });
    return keyed.map(function (item) { return item.row; });
  }

  function draw() {
    const sort = sortOf();
    const body = table.tBodies[0];
    const wanted = find.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    body.append(...sorted(Array.from(body.rows), sort));
    const fitting = Array.from(body.rows).filter(function (row) {
      const title = titleOf(row).toLocaleLowerCase("en");
      row.hidden = !wanted.every(function (word) { return title.includes(word); });
      return !row.hidden;
    });
    let by = "";
    heads.forEach(function (head) {
      if (head.dataset.column !== sort.replace(/^-/, "")) { head.removeAttribute("aria-sort"); return; }
      head.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
      by = head.dataset.title || head.textContent;
    });
    document.getElementById("overview-live").textContent = fitting.length + " editors, sorted by " + by + ", " + (sort.startsWith("-") ? "descending" : "ascending") + ".";
    if (whole) document.getElementById("shown").textContent = fitting.length ? "" : "No editor fits.";
  }

  function sortBy(column) {
    const [first, second] = column === "editor" ? [column, "-" + column] : ["-" + column, column];
    const next = sortOf() === first ? second : first;
    window.history.pushState(null, "", window.location.pathname + window.location.search + (next === FIRST ? "" : "#sort=" + next));
    complete().then(draw);
  }

  heads.forEach(function (head) {
    const track = head.dataset.title;
    const button = el("button", { type: "button", class: "sort", "aria-label": track ? "Sort by effective edits on " + track : null, on: { click: function () { sortBy(head.dataset.column); } } }, track ? "effective edits" : head.textContent);
    if (track) head.append(button);
    else head.replaceChildren(button);
  });
  if (more) more.addEventListener("click", function () { complete().then(draw); });
  find.addEventListener("input", function () { complete().then(draw); });
  find.addEventListener("keydown", function (event) { if (event.key === "Escape") { find.value = ""; draw(); } });
  ["popstate", "hashchange"].forEach(function (name) { window.addEventListener(name, function () { complete().then(draw); }); });
  if (sortOf() !== FIRST) complete().then(draw);
  performance.mark("palimpsest:overview");
})();
