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
  const COLUMNS = [
    ["rank", "Rank", "up"], ["editor", "Editor", "up"], ["effective", "Effective edits", "down"], ["courses", "Courses", "down"], ["until", "h under 80 / 50 %", "down"],
    ["score", "Score", "down"], ["efficacy", "Efficacy", "down"], ["paraphrase", "Paraphrase", "down"],
    ["neighborhood", "Neighborhood", "down"], ["abilities", "Abilities kept", "down"], ["seconds", "Time per edit", "up"],
    ["memory", "Peak memory", "up"], ["status", "Status", "up"], ["date", "Date", "down"],
  ];
  const SCORES = ["score", "efficacy", "paraphrase", "neighborhood"];
  const EXTRAS = [
    ["neighborhood_top", "Neighborhood as before", "down"], ["neighborhood_top_deltaedit", "Neighborhood as before, DeltaEdit’s form", "down"],
    ["locality_easyedit", "Locality, EasyEdit’s form", "down"],
    ["distracting_argmax", "Neighborhood behind the edit’s sentence (argmax)", "down"], ["distracting_token_accuracy", "Neighborhood behind the edit’s sentence (token accuracy)", "down"],
    ["multi_hop_argmax", "Many hops (argmax)", "down"], ["multi_hop_token_accuracy", "Many hops (token accuracy)", "down"],
    ["portability_argmax", "Portability (argmax)", "down"], ["portability_token_accuracy", "Portability (token accuracy)", "down"],
    ["fluency", "Fluency", "down"], ["fluency_special_tokens", "Fluency with special tokens, published form", "down"],
    ["consistency_own", "Consistency, own references", "down"],
  ];
  const FIXED = ["rank", "editor"];
  let extras = [];
  const data = {};
  const open = new Set();
  let shown = SHOWN;

  P.need("rows/" + track, "data/track/" + track + "/rows.js").then(start);

  function start(rows) {
    Object.assign(data, rows);
    data.rows.forEach(function (row, index) { row.index = index; row.find = words(row); });
    data.form = data.main.replace("score_", "");
    extras = EXTRAS.filter(function (column) { return data.metrics.includes(column[0]); });
    COLUMNS.splice(COLUMNS.findIndex(function (column) { return column[0] === "abilities"; }), 0, ...extras);
    const defaults = {
      at: String(data.checkpoints[data.checkpoints.length - 1]), form: data.form, sort: "rank", q: "", status: "", origin: "",
      part: "", hide: "", rows: "", y: "", z: "", logx: "", logy: "", refs: "",
    };
    const board = P.board = { data, defaults, state: Object.assign({}, defaults), cells: null, chosen, set, byId };
    controls(board);
    readHash();
    window.addEventListener("popstate", readHash);
    window.addEventListener("hashchange", readHash);
  }

  const words = function (row) {
    return [row.label, row.title, row.editor, row.third, row.version, row.date, row.third ? "third-party" : "built-in",
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
    if (!COLUMNS.some(function (column) { return column[0] === state.sort.replace(/^-/, ""); })) state.sort = "rank";
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
      select.addEventListener("change", function () { shown = SHOWN; set({ [name]: select.value }); });
    });
    const parts = new Set(data.rows.flatMap(function (row) { return row.parts; }));
    Array.from(parts).sort().forEach(function (part) { document.getElementById("part").append(el("option", { value: part }, part)); });
    const find = document.getElementById("find");
    find.addEventListener("input", function () { shown = SHOWN; set({ q: find.value }, true); });
    find.addEventListener("keydown", function (event) { if (event.key === "Escape") set({ q: "" }, true); });
    document.querySelectorAll('input[name="form"]').forEach(function (radio) {
      radio.addEventListener("change", function () { set({ form: radio.value }); });
    });
    document.getElementById("reset").addEventListener("click", function () { open.clear(); shown = SHOWN; set(Object.assign({}, P.board.defaults)); });
    document.getElementById("copy-link").addEventListener("click", function (event) {
      P.copyText(window.location.href.split("#")[0] + hash(true), event.currentTarget);
    });
    document.getElementById("more").addEventListener("click", function () { shown += 2 * SHOWN; render(); });
    const menu = document.querySelector("#columns fieldset");
    COLUMNS.forEach(function (column) {
      if (FIXED.includes(column[0])) return;
      const box = el("input", { type: "checkbox", value: column[0], autocomplete: "off", on: { change: columnsChanged } });
      menu.append(el("label", {}, box, " " + column[1]));
    });
    const head = table.tHead.rows[0];
    head.prepend(el("th", { scope: "col", role: "columnheader", class: "choose" }, el("span", { class: "visually-hidden" }, "In the figures")));
    const select = document.getElementById("sort-select");
    COLUMNS.forEach(function (column) {
      const cell = head.querySelector('[data-column="' + column[0] + '"]');
      const button = el("button", { type: "button", class: "sort", on: { click: function () { sortBy(column); } } }, cell.textContent);
      cell.replaceChildren(button);
      select.append(el("option", { value: column[0] }, column[1] + " ↑"), el("option", { value: "-" + column[0] }, column[1] + " ↓"));
    });
    select.addEventListener("change", function () { set({ sort: select.value }); });
  }

  function columnsChanged() {
    const off = Array.from(document.querySelectorAll("#columns input")).filter(function (box) { return !box.checked; });
    set({ hide: off.map(function (box) { return box.value; }).join(".") });
  }

  function sortBy(column) {
    const up = column[0];
    const down = "-" + column[0];
    const first = column[2] === "up" ? up : down;
    const now = P.board.state.sort;
    set({ sort: now === first ? (first === up ? down : up) : first });
  }

  /* ------------------------------------------------------------------ values */
  const cell = function (row, metric) { return P.board.cells && P.board.cells.cells[metric] ? P.board.cells.cells[metric][row.index] : null; };

  const isExtra = function (name) { return extras.some(function (column) { return column[0] === name; }); };

  function value(row, column) {
    const state = P.board.state;
    if (row.published) {
      if (column === "editor") return row.title.toLocaleLowerCase("en");
      const found = row.values[SCORES.includes(column) ? column + "_" + state.form : column];
      return found === undefined ? null : found;
    }
    if (SCORES.includes(column)) { const found = cell(row, column + "_" + state.form); return found ? found[0] : null; }
    if (column === "abilities" || isExtra(column)) { const found = cell(row, column === "abilities" ? "abilities_kept" : column); return found ? found[0] : null; }
    if (column === "editor") return row.label.toLocaleLowerCase("en");
    if (column === "status") return row.status[0][0];
    if (column === "date") return row.date;
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
    const column = state.sort.replace(/^-/, "");
    table.tHead.querySelectorAll("[data-column]").forEach(function (head) {
      head.hidden = off.includes(head.dataset.column);
      if (head.dataset.column === column) head.setAttribute("aria-sort", state.sort === column ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  function draw() {
    const list = ordered();
    const picked = new Set(chosen().map(function (row) { return row.id; }));
    const body = table.tBodies[0];
    const focus = document.activeElement && body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    body.replaceChildren();
    list.slice(0, shown).forEach(function (row) {
      body.append(row.published ? reference(row) : line(row, picked.has(row.id)));
      if (open.has(row.id)) seeds(row).forEach(function (part) { body.append(part); });
    });
    if (focus) { const again = body.querySelector('[data-focus="' + CSS.escape(focus) + '"]'); if (again) again.focus(); }
    table.classList.toggle("is-empty", list.length === 0);
    const rest = list.length - Math.min(shown, list.length);
    document.getElementById("more").hidden = rest <= 0;
    const total = data.rows.length;
    const said = list.length === 0 ? "No editor fits." : rest > 0 ? "The first " + shown + " of " + list.length + " rows." : "";
    document.getElementById("shown").textContent = said;
    const column = COLUMNS.find(function (item) { return item[0] === P.board.state.sort.replace(/^-/, ""); });
    document.getElementById("board-live").textContent = list.length + " of " + total + " rows, after " + P.board.state.at +
      " edits, sorted by " + column[1] + ", " + (P.board.state.sort.startsWith("-") ? "descending" : "ascending") + ".";
  }

  const off = function (column) { return P.board.state.hide.split(".").includes(column); };
  const td = function (column, label, className, ...children) {
    return off(column) ? null : el("td", { role: "cell", class: className, data: { label } }, ...children);
  };
  const span = function (text) { return text ? el("span", { class: "span" }, text) : null; };

  function interval(found) {
    if (!found) return [el("span", { class: "value" }, "–")];
    const range = found.length > 1 ? P.fixed(found[1]) + "–" + P.fixed(found[2]) : "";
    return [el("span", { class: "value" }, P.fixed(found[0])), span(range)];
  }

  function course(bar) {
    const rect = function (name, x, width, y, height) { return el("rect", { class: name, x, y, width, height }); };
    return el("span", { class: "course" },
      el("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
        rect("bar-course", 0, 100, 0, 9), rect("bar-made", 0, bar[1], 0, 9), rect("bar-reached", 0, bar[0], 0, 9),
        bar[3] > bar[2] ? rect("bar-interval", bar[2], Math.round(100 * (bar[3] - bar[2])) / 100, 11, 1.8) : null));
  }

  function pick(row, on) {
    const ids = chosen().map(function (one) { return one.id; });
    const next = on ? ids.concat(row.id) : ids.filter(function (id) { return id !== row.id; });
    set({ rows: next.length ? next.join(".") : "none" });
  }

  /* Filters as chips before their host: reads "SPHERE on AlphaEdit". */
  function composition(row) {
    if (row.parts.length < 2 || !row.label.startsWith(row.title)) return row.label;
    const filters = row.parts.slice(0, -1).flatMap(function (part) { return [el("span", { class: "chip filter" }, part), el("span", { class: "visually-hidden" }, " on ")]; });
    return filters.concat(row.parts[row.parts.length - 1] + row.label.slice(row.title.length));
  }

  function nameCell(row) {
    const seedsText = row.runs.length > 1
      ? el("button", { type: "button", class: "seeds", "aria-expanded": String(open.has(row.id)), data: { focus: "seeds " + row.id },
          on: { click: function () { if (open.has(row.id)) open.delete(row.id); else open.add(row.id); draw(); } } }, row.runs.length + " seeds")
      : "seed " + row.runs[0][1];
    const paper = /^\d{4}\.\d{4,5}$/.test(row.paper)
      ? el("a", { href: "https://arxiv.org/abs/" + row.paper, rel: "noopener nofollow", class: "aside" }, "paper") : null;
    return el("th", { role: "rowheader", scope: "row", class: "editor" },
      el("a", { href: P.root + "run/" + row.runs[0][0] + ".html", data: { focus: "row " + row.id } }, P.swatch(row.look), el("span", { class: "name" }, composition(row))),
      el("span", { class: "span" },
        row.third ? el("span", { class: "third" }, row.third, " ") : null,
        el("span", {}, row.version), " · ", seedsText, " · ", el("a", { href: P.root + "editor/" + row.editor + ".html", class: "aside" }, "about"),
        paper ? [" · ", paper] : null,
        row.verified ? el("span", { class: "chip verified", title: "A re-run agreed on " + row.verified }, "✓ verified " + row.verified) : row.submitted ? el("span", { class: "chip", title: "Sent in by somebody; nobody has done the run again yet, so it is a row of its own" }, "submitted, not reproduced") : null));
  }

  function line(row, on) {
    const form = P.board.state.form;
    const state = P.board.state;
    const box = el("input", { type: "checkbox", checked: on, autocomplete: "off", "aria-label": "Show " + row.label + " in the figures", data: { focus: "pick " + row.id },
      on: { change: function (event) { pick(row, event.currentTarget.checked); } } });
    return el("tr", { role: "row", data: { row: row.id }, class: row.ended ? null : "unranked" },
      el("td", { role: "cell", class: "choose" }, box),
      el("td", { role: "cell", class: "rank", title: row.rank[1] || null }, el("span", { class: "value" }, row.rank[0]), row.rank[1] ? el("span", { class: "visually-hidden" }, " " + row.rank[1]) : null),
      nameCell(row),
      td("effective", "Effective edits", "effective", el("div", { class: "gauge" }, el("span", { class: "headline" }, row.effective[0]), course(row.bar), el("span", { class: "span", title: row.effective[3] }, row.effective[1]),
        el("span", { class: "span" }, "h " + P.fixed((cell(row, "quality") || [null])[0]) + " %"))),
      td("courses", "Courses", "num", el("span", { class: "value" }, row.courses[0]), span(row.courses[1])),
      td("until", "h under 80 / 50 %", "num", el("span", { class: "value" }, row.until[0][0]), span(row.until[1][0])),
      SCORES.map(function (part) { return td(part, part.charAt(0).toUpperCase() + part.slice(1), part === "score" ? "num strong" : "num", interval(cell(row, part + "_" + form))); }),
      extras.map(function (column) { return td(column[0], column[1], "num", interval(cell(row, column[0]))); }),
      td("abilities", "Abilities kept", "num", interval(cell(row, "abilities_kept"))),
      td("seconds", "Time per edit", "num", el("span", { class: "value" }, row.seconds[0])),
      td("memory", "Peak memory", "num", el("span", { class: "value" }, row.memory[0])),
      td("status", "Status", "state", row.status.map(function (one) {
        return el("span", { class: "status " + one[2] }, el("span", { class: "shape", "aria-hidden": "true" }, one[1]), " " + (row.status.length > 1 ? one[3] + " " : "") + one[0] + (one[0] === "complete" || row.status.length > 1 ? "" : " at " + P.thousands(row.done)));
      })),
      td("date", "Date", "date", row.date));
  }

  /* Single seeds of a row, each with its own figures; no intervals, since theirs are over cases alone. */
  function seeds(row) {
    const form = P.board.state.form;
    const counted = row.counted || row.runs.map(function (run) { return run[0]; });
    const values = P.board.cells.seeds[String(row.index)] || {};
    return row.runs.map(function (run) {
      const place = counted.indexOf(run[0]);
      const number = function (metric) { return el("span", { class: "value" }, P.fixed(place >= 0 && values[metric] ? values[metric][place] : null)); };
      return el("tr", { role: "row", class: "seed", data: { run: run[0] } },
        el("td", { role: "cell", class: "choose" }), el("td", { role: "cell", class: "rank" }),
        el("th", { role: "rowheader", scope: "row", class: "editor" }, el("a", { href: P.root + "run/" + run[0] + ".html" }, "seed " + run[1])),
        td("effective", "Effective edits", "effective", el("span", { class: "headline" }, run[4])), td("courses", "Courses", "num"), td("until", "h under 80 / 50 %", "num"),
        SCORES.map(function (part) { return td(part, part.charAt(0).toUpperCase() + part.slice(1), "num", number(part + "_" + form)); }),
        extras.map(function (column) { return td(column[0], column[1], "num", number(column[0])); }),
        td("abilities", "Abilities kept", "num", number("abilities_kept")),
        td("seconds", "Time per edit", "num"), td("memory", "Peak memory", "num"),
        td("status", "Status", "state", el("span", { class: "status" }, run[3] + " " + run[2])), td("date", "Date", "date"));
    });
  }

  /* What a paper reports: never ranked, never in the figures, its source beside it. */
  function reference(row) {
    const form = P.board.state.form;
    const source = /^\d{4}\.\d{4,5}$/.test(row.arxiv)
      ? el("a", { href: "https://arxiv.org/abs/" + row.arxiv, rel: "noopener nofollow" }, row.source) : row.source;
    return el("tr", { role: "row", class: "published" },
      el("td", { role: "cell", class: "choose" }), el("td", { role: "cell", class: "rank" }, el("span", { class: "visually-hidden" }, "not ranked")),
      el("th", { role: "rowheader", scope: "row", class: "editor" }, el("span", { class: "name" }, row.title), el("span", { class: "span" }, el("span", { class: "chip" }, "published, not measured here"), " ", source, row.note ? " · " + row.note : "")),
      td("effective", "Effective edits", "effective"), td("courses", "Courses", "num"), td("until", "h under 80 / 50 %", "num"),
      SCORES.map(function (part) {
        const found = row.values[part + "_" + form];
        return td(part, part.charAt(0).toUpperCase() + part.slice(1), "num", el("span", { class: "value" }, P.fixed(found)));
      }),
      extras.map(function (column) { return td(column[0], column[1], "num", el("span", { class: "value" }, P.fixed(row.values[column[0]]))); }),
      td("abilities", "Abilities kept", "num"), td("seconds", "Time per edit", "num"), td("memory", "Peak memory", "num"), td("status", "Status", "state", "published"), td("date", "Date", "date"));
  }
})();
