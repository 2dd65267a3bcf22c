/* The table of a track: rows at a chosen number of edits, sorted, filtered, with chosen columns; all of it in the hash.

   The table in the markup is the same at the last checkpoint and stays until this script has drawn its own. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const section = document.getElementById("board-section");
  if (!section) return;
  const table = document.getElementById("board");
  const track = section.dataset.track;
  const SHOWN = 100;
  const TOP = 5;
  const phone = window.matchMedia("(max-width: 600px)");
  const COLUMNS = Array.from(table.tHead.querySelectorAll("[data-column]"), function (head) {
    return { key: head.dataset.column, title: head.textContent, first: head.dataset.first, words: head.title, otherWords: head.dataset.otherWords };
  });
  const FIXED = ["rank", "editor"];
  const data = {};
  const open = new Set();
  const full = new Set();
  let more = 0;

  P.need("rows/" + track, "data/track/" + track + "/rows.js").then(start);

  function start(rows) {
    Object.assign(data, rows);
    data.rows.forEach(function (row, index) { row.index = index; row.find = words(row); });
    data.form = data.main.replace("score_", "");
    const defaults = {
      at: String(data.checkpoints[data.checkpoints.length - 1]), form: data.form, sort: "rank", q: "", status: "", origin: "",
      part: "", hide: "", lines: "", rows: "", y: "", z: "", logx: "", logy: "", refs: "",
    };
    const board = P.board = { data, defaults, state: Object.assign({}, defaults), cells: null, columns: COLUMNS, chosen, set, byId };
    controls(board);
    readHash();
    window.addEventListener("popstate", readHash);
    window.addEventListener("hashchange", readHash);
  }

  const words = function (row) {
    return [row.label, row.title, row.editor, row.third, row.version, row.date, row.third ? "third-party" : "built-in", row.verified ? "verified " + row.verified_by : "",
      row.runs.map(function (run) { return run[0] + " seed " + run[1] + " " + run[2]; }).join(" ")].join(" ").toLocaleLowerCase("en");
  };
  const byId = function (id) { return data.rows.find(function (row) { return row.id === id; }); };

  function chosen() {
    const state = P.board.state;
    if (state.rows === "none") return [];
    if (state.rows) return state.rows.split(".").map(byId).filter(Boolean);
    return data.chosen.map(byId);
  }

  /* ------------------------------------------------------------------ state and hash */
  function readHash() {
    const found = new URLSearchParams(window.location.hash.slice(1));
    if (section.dataset.front && found.get("track") && found.get("track") !== track && /^[0-9a-z]+$/.test(found.get("track"))) {
      window.location.replace(P.root + "track/" + found.get("track") + ".html" + window.location.hash);
      return;
    }
    const state = P.board.state;
    Object.keys(P.board.defaults).forEach(function (key) { state[key] = found.get(key) ?? P.board.defaults[key]; });
    if (!data.checkpoints.includes(Number(state.at))) state.at = P.board.defaults.at;
    if (!data.metrics.includes("score_" + state.form)) state.form = data.form;
    if (!COLUMNS.some(function (column) { return column.key === state.sort.replace(/^-/, ""); })) state.sort = "rank";
    render();
  }

  function hash(forced) {
    const state = P.board.state;
    const parts = Object.keys(state).filter(function (key) { return state[key] !== P.board.defaults[key]; })
      .map(function (key) { return key + "=" + encodeURIComponent(state[key]); });
    if ((parts.length || forced) && section.dataset.front) parts.unshift("track=" + track);
    return parts.length ? "#" + parts.join("&") : "";
  }

  /* quiet: typing and sliding replace the entry in the history instead of adding one for each step */
  function set(change, quiet) {
    Object.assign(P.board.state, change);
    const address = window.location.pathname + window.location.search + hash();
    if (quiet) window.history.replaceState(null, "", address);
    else window.history.pushState(null, "", address);
    render();
  }

  /* ------------------------------------------------------------------ controls */
  function controls() {
    const slider = document.getElementById("at");
    slider.addEventListener("input", function () { set({ at: String(data.checkpoints[Number(slider.value)]) }, true); });
    ["status", "origin", "part"].forEach(function (name) {
      const select = document.getElementById(name);
      select.addEventListener("change", function () { more = 0; set({ [name]: select.value }); });
    });
    const parts = new Set(data.rows.flatMap(function (row) { return row.parts; }));
    Array.from(parts).sort().forEach(function (part) { document.getElementById("part").append(el("option", { value: part }, part)); });
    const find = document.getElementById("find");
    find.addEventListener("input", function () { more = 0; set({ q: find.value }, true); });
    find.addEventListener("keydown", function (event) { if (event.key === "Escape") set({ q: "" }, true); });
    document.querySelectorAll('input[name="form"]').forEach(function (radio) {
      radio.addEventListener("change", function () { set({ form: radio.value }); });
    });
    document.getElementById("reset").addEventListener("click", function () { open.clear(); more = 0; set(Object.assign({}, P.board.defaults)); });
    document.getElementById("copy-link").addEventListener("click", function (event) {
      P.copyText(window.location.href.split("#")[0] + hash(true), event.currentTarget);
    });
    document.getElementById("more").addEventListener("click", function () { more += 1; render(); });
    document.getElementById("compact").addEventListener("change", function (event) { set({ lines: event.target.checked ? "1" : "" }); });
    phone.addEventListener("change", render);
    const menu = document.querySelector("#columns fieldset");
    COLUMNS.forEach(function (column) {
      if (FIXED.includes(column.key)) return;
      const box = el("input", { type: "checkbox", value: column.key, autocomplete: "off", on: { change: columnsChanged } });
      menu.append(el("label", {}, box, " " + column.title));
    });
    const head = table.tHead.rows[0];
    head.prepend(el("th", { scope: "col", role: "columnheader", class: "choose" }, el("span", { class: "visually-hidden" }, "In the figures")));
    const select = document.getElementById("sort-select");
    COLUMNS.forEach(function (column) {
      const cell = head.querySelector('[data-column="' + column.key + '"]');
      const button = el("button", { type: "button", class: "sort", on: { click: function () { sortBy(column); } } }, column.title);
      cell.removeAttribute("title"); // the words are the button's: they show on hovering it and in focus
      cell.replaceChildren(button);
      select.append(el("option", { value: column.key }, column.title + " ↑"), el("option", { value: "-" + column.key }, column.title + " ↓"));
    });
    select.addEventListener("change", function () { set({ sort: select.value }); });
  }

  function columnsChanged() {
    const off = Array.from(document.querySelectorAll("#columns input")).filter(function (box) { return !box.checked; });
    set({ hide: off.map(function (box) { return box.value; }).join(".") });
  }

  function sortBy(column) {
    const down = "-" + column.key;
    const [first, second] = column.first === "up" ? [column.key, down] : [down, column.key];
    set({ sort: P.board.state.sort === first ? second : first });
  }

  /* ------------------------------------------------------------------ values */
  function value(row, column) {
    const metric = P.boardRows.metricOf(column);
    if (row.published) {
      if (column === "editor") return row.title.toLocaleLowerCase("en");
      const found = row.values[metric];
      return found === undefined ? null : found;
    }
    if (metric) { const found = P.boardRows.cell(row, metric); return found ? found[0] : null; }
    if (column === "editor") return row.label.toLocaleLowerCase("en");
    if (column === "status") return row.status[0][0];
    if (column === "date" || column === "verified") return row[column];
    if (column === "rank") return row.ended ? row.index : null;
    const text = { effective: row.effective[2], courses: row.courses[2], until: row.until[0][2], seconds: row.seconds[1], memory: row.memory[1] }[column];
    return text === "" ? null : Number(text);
  }

  function fits(row) {
    const state = P.board.state;
    const wanted = state.q.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    const text = row.published ? (row.title + " " + row.source + " published").toLocaleLowerCase("en") : row.find;
    if (!wanted.every(function (word) { return text.includes(word); })) return false;
    if (state.origin === "published" && !row.published) return false;
    if (row.published) return state.origin === "" || state.origin === "published" ? !state.status && !state.part : false;
    if (state.origin === "built-in" && row.third) return false;
    if (state.origin === "third" && !row.third) return false;
    if (state.part && !row.parts.includes(state.part)) return false;
    if (state.status === "verified") return Boolean(row.verified);
    if (state.status === "ranked") return row.rank[1] === "";
    return !state.status || row.status.some(function (one) { return one[0] === state.status; });
  }

  /* Missing values stay at the end in both directions. */
  function ordered() {
    const down = P.board.state.sort.startsWith("-");
    const column = P.board.state.sort.replace(/^-/, "");
    const references = data.references.filter(function (one) { return String(one.edits) === P.board.state.at; })
      .map(function (one) { return Object.assign({ published: true }, one); });
    return data.rows.concat(references).filter(fits).map(function (row, index) { return { row, index, key: value(row, column) }; })
      .sort(function (a, b) {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.index - b.index;
        if (a.key === b.key) return a.index - b.index;
        return (a.key < b.key ? -1 : 1) * (down ? -1 : 1);
      }).map(function (item) { return item.row; });
  }

  /* ------------------------------------------------------------------ drawing */
  function render() {
    const state = P.board.state;
    const name = "at/" + track + "/" + state.at;
    P.need(name, "data/track/" + track + "/at-" + state.at + ".js").then(function (cells) {
      if (state.at !== String(cells.edits)) return;
      P.board.cells = cells;
      draw();
      showControls();
      if (!performance.getEntriesByName("palimpsest:board").length) performance.mark("palimpsest:board");
      document.dispatchEvent(new CustomEvent("palimpsest:board"));
    });
  }

  function showControls() {
    const state = P.board.state;
    document.getElementById("at").value = String(data.checkpoints.indexOf(Number(state.at)));
    document.getElementById("at").setAttribute("aria-valuetext", state.at + " edits");
    document.getElementById("at-value").textContent = P.thousands(state.at) + " edits";
    ["status", "origin", "part"].forEach(function (key) { document.getElementById(key).value = state[key]; });
    if (document.getElementById("find").value !== state.q) document.getElementById("find").value = state.q;
    document.querySelectorAll('input[name="form"]').forEach(function (radio) { radio.checked = radio.value === state.form; });
    const off = state.hide.split(".");
    document.querySelectorAll("#columns input").forEach(function (box) { box.checked = !off.includes(box.value); });
    document.getElementById("sort-select").value = state.sort;
    document.getElementById("compact").checked = state.lines === "1";
    table.classList.toggle("compact", state.lines === "1");
    const column = state.sort.replace(/^-/, "");
    table.tHead.querySelectorAll("[data-column]").forEach(function (head) {
      head.hidden = off.includes(head.dataset.column);
      const { words, otherWords } = COLUMNS.find(function (item) { return item.key === head.dataset.column; });
      head.firstElementChild.dataset.hint = state.form !== data.form && otherWords ? otherWords : words;
      if (head.dataset.column === column) head.setAttribute("aria-sort", state.sort === column ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  function draw() {
    const list = ordered();
    const picked = new Set(chosen().map(function (row) { return row.id; }));
    const body = table.tBodies[0];
    const focus = document.activeElement && body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    const shown = (phone.matches ? TOP : SHOWN) + more * 2 * SHOWN;
    body.replaceChildren();
    list.slice(0, shown).forEach(function (row) {
      body.append(row.published ? P.boardRows.reference(row) : P.boardRows.line(row, picked.has(row.id), tools));
      if (open.has(row.id)) body.append(...P.boardRows.seeds(row));
    });
    if (focus) { const again = body.querySelector('[data-focus="' + CSS.escape(focus) + '"]'); if (again) again.focus(); }
    table.classList.toggle("is-empty", list.length === 0);
    const rest = list.length - Math.min(shown, list.length);
    document.getElementById("more").hidden = rest <= 0;
    const total = data.rows.length;
    const said = list.length === 0 ? "No editor fits." : rest > 0 ? (more || !phone.matches ? "The first " : "Top ") + shown + " of " + list.length + " rows." : "";
    document.getElementById("shown").textContent = said;
    const column = COLUMNS.find(function (item) { return item.key === P.board.state.sort.replace(/^-/, ""); });
    document.dispatchEvent(new CustomEvent("palimpsest:rows"));
    document.getElementById("board-live").textContent = list.length + " of " + total + " rows, after " + P.board.state.at +
      " edits, sorted by " + column.title + ", " + (P.board.state.sort.startsWith("-") ? "descending" : "ascending") + ".";
  }

  function pick(row, on) {
    const ids = chosen().map(function (one) { return one.id; });
    const next = on ? ids.concat(row.id) : ids.filter(function (id) { return id !== row.id; });
    set({ rows: next.length ? next.join(".") : "none" });
  }

  /* What the rows ask of the table. */
  const flip = function (set_, id) { if (!set_.delete(id)) set_.add(id); draw(); };
  const tools = {
    pick,
    isOpen: function (id) { return open.has(id); },
    toggle: function (id) { flip(open, id); },
    isFull: function (id) { return full.has(id); },
    toggleFull: function (id) { flip(full, id); },
  };
})();
