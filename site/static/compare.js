/* Two to six editors or runs side by side. The hash names them: #runs=a.b,c is the seeds a and b of one, and c.

   Columns are compared with the first one course by course (differences.js); Holm's procedure runs over all of the table.

   Effective edits are compared by the board's own rule: columns that are whole rows of the track have the verdict that
   the board has of the pair, and others say why they have none. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const { mean, difference, holm } = P.differences;
  const MOST = 6;
  const CHUNK = 1000;
  const NAMES = { score: "Score", efficacy: "Efficacy", paraphrase: "Paraphrase", neighborhood: "Neighborhood" };
  const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 4]];
  const MARKERS = ["circle", "square", "triangle", "diamond", "cross", "bar"];
  const state = { groups: [], at: 0, form: "" };
  const figures = {};
  let columns = [];
  let shown = [];
  let lost = "";
  const NO_BOARD = { rows: [], ranked: [], pairs: [], held: {} };
  const boards = new Map();
  let board = NO_BOARD;

  /* A column looks as its row does on the board of its track; of two that look alike, the later one takes another dash
     and marker. */
  function dress() {
    const taken = new Set();
    columns.forEach(function (column, i) {
      const run = column.runs[0];
      const row = (boards.get(run.track) || board).rows.find(function (one) { return one.runs.some(function (other) { return other[0] === run.id; }); });
      const [colour, dash, marker] = row ? row.look : [i, DASHES[i], MARKERS[i]];
      const shapes = [[dash, marker]].concat(DASHES.flatMap(function (d, n) { return [[d, MARKERS[n]], [d, MARKERS[(n + 1) % MARKERS.length]]]; }));
      const free = shapes.find(function (shape) { return !taken.has(String(shape)); }) || shapes[0];
      taken.add(String(free));
      column.look = [colour].concat(free);
    });
  }
  const note = function (text) { document.getElementById("compare-note").textContent = text; };

  /* ------------------------------------------------------------------ loading */
  function loadRun(id) {
    return P.need("run/" + id, "data/run/" + id + "/run.js", true).then(function (found) {
      const count = Math.ceil(found.cases / CHUNK);
      const parts = Array.from({ length: count }, function (_, n) { return P.need("courses/" + id + "/" + n, "data/run/" + id + "/courses-" + n + ".js"); });
      return Promise.all(parts).then(function (courses) { return Object.assign({}, found, { courses: courses.flat() }); });
    });
  }

  function read() {
    const found = new URLSearchParams(window.location.hash.slice(1));
    state.groups = (found.get("runs") || "").split(",").map(function (group) { return group.split(".").filter(function (id) { return /^[0-9a-z]+$/.test(id); }); })
      .filter(function (group) { return group.length; }).slice(0, MOST);
    state.at = Number(found.get("at")) || 0;
    state.form = found.get("form") || "";
    refresh();
  }

  function write() {
    const parts = ["runs=" + state.groups.map(function (group) { return group.join("."); }).join(",")];
    if (state.at) parts.push("at=" + state.at);
    if (state.form) parts.push("form=" + state.form);
    window.history.pushState(null, "", window.location.pathname + window.location.search + "#" + parts.join("&"));
    refresh();
  }

  function clear(words) {
    columns = [];
    document.dispatchEvent(new CustomEvent("palimpsest:columns", { detail: 0 }));
    document.dispatchEvent(new CustomEvent("palimpsest:compare", { detail: { columns, at: 0, form: "", sameTrack: false } }));
    P.keepFocus(document.getElementById("compare-table"), function () { document.getElementById("compare-table").replaceChildren(); });
    note(words + "Choose editors above, or name runs by their ids.");
  }

  /* Columns with a run that cannot be loaded are left out by name; the others stay. */
  function refresh() {
    const stamp = refresh.stamp = {};
    lost = "";
    if (!state.groups.length) { clear(""); return; }
    document.dispatchEvent(new CustomEvent("palimpsest:columns", { detail: state.groups.length }));
    note("Loading.");
    Promise.all(state.groups.map(function (group) {
      return Promise.all(group.map(loadRun)).then(function (runs) { return { group, runs }; }, function () { return { group, runs: null }; });
    })).then(function (found) {
      if (stamp !== refresh.stamp) return;
      const missing = found.filter(function (one) { return !one.runs; }).map(function (one) { return one.group.join(" "); });
      if (missing.length) lost = "Left out, since it could not be loaded: run " + missing.join(", ") + ". Is its id right? ";
      columns = found.filter(function (one) { return one.runs; });
      state.groups = columns.map(function (column) { return column.group; });
      if (!columns.length) { clear(lost); return; }
      const titles = columns.map(function (column) { return column.runs[0].title; });
      columns.forEach(function (column, i) {
        const twin = titles.indexOf(column.runs[0].title) !== titles.lastIndexOf(column.runs[0].title);
        column.label = column.runs[0].title + (column.runs.length > 1 ? ", " + column.runs.length + " seeds" : twin ? ", seed " + column.runs[0].seed : "");
      });
      const tracks = Array.from(new Set(columns.map(function (column) { return column.runs[0].track; })));
      return Promise.all(tracks.map(loadBoard)).then(function () {
        if (stamp !== refresh.stamp) return;
        board = boards.get(tracks[0]) || NO_BOARD;
        dress();
        offerMore();
        draw();
      });
    });
  }

  /* The rows of a track, and the pairs of those that have a rank. */
  function loadBoard(track) {
    if (boards.has(track) || !/^[0-9a-z]+$/.test(track)) return Promise.resolve();
    return Promise.all(["rows", "pairs"].map(function (part) { return P.need(part + "/" + track, "data/track/" + track + "/" + part + ".js"); })).then(function ([rows, pairs]) {
      boards.set(track, { rows: rows.rows, ranked: pairs.rows, pairs: pairs.pairs, held: pairs.held });
    }, function () { /* a track page of another build: naming runs by id still works */ });
  }

  const coursesOf = function (row) { return row.counted || row.runs.map(function (run) { return run[0]; }); };

  /* The row of the track that a column is, with all of its courses and no other run. */
  function rowOf(column) {
    const own = column.runs.map(function (run) { return run.id; }).sort().join(".");
    return board.rows.find(function (row) { return coursesOf(row).slice().sort().join(".") === own; });
  }

  /* What the board says about a column beside the first one; the interval holds for all pairs of the track at once. */
  function onBoard(column) {
    const [first, other] = [columns[0], column].map(function (one) { const row = rowOf(one); return row ? board.ranked.indexOf(row.id) : -1; });
    const pair = board.pairs.find(function (one) { return (one[0] === first && one[1] === other) || (one[0] === other && one[1] === first); });
    if (!pair || pair[2] === null) return null;
    const value = pair[0] === other ? pair[2] : -pair[2];
    return { value, other: column, low: value - pair[3], high: value + pair[3], apart: pair[4] };
  }

  /* Other rows of the first column's track. */
  function offerMore() {
    document.getElementById("add").replaceChildren(el("option", { value: "" }, "an editor of this track"), ...board.rows.map(function (row) {
      return el("option", { value: coursesOf(row).join(".") }, row.label);
    }));
  }

  /* ------------------------------------------------------------------ drawing */
  const sameTrack = function () { return columns.every(function (column) { return column.runs[0].track === columns[0].runs[0].track; }); };

  function checkpoints() {
    const sets = columns.flatMap(function (column) { return column.runs; }).map(function (run) {
      const curve = run.curves[run.main + "|all"];
      return curve ? curve[0] : [];
    });
    return sets[0].filter(function (edits) { return sets.every(function (set) { return set.includes(edits); }); });
  }

  /* [seed, number] of each run of a column that has one; a run that had collapsed counts as 0, as on the board. */
  function numbers(column, key) {
    return column.runs.map(function (run) {
      const [edits, values, , , imputed] = run.curves[key] || [[], []];
      return [run.seed, imputed && imputed.includes(state.at) ? 0 : edits.includes(state.at) ? values[edits.indexOf(state.at)] : null];
    }).filter(function (one) { return one[1] !== null; });
  }

  /* True if all runs of a column had collapsed before the chosen number of edits. */
  const collapsed = function (column, key) {
    return column.runs.every(function (run) { const curve = run.curves[key]; return Boolean(curve && curve[4] && curve[4].includes(state.at)); });
  };

  /* Name and curve of each line that is compared. */
  function lines() {
    const scores = Object.entries(NAMES).map(function ([part, name]) { return [name + ", %", part + "_" + state.form + "|all"]; });
    return scores.concat([["Abilities kept, %", "abilities_kept|"]]);
  }

  /* Differences of each column from the first one, by curve. */
  function tests() {
    const found = columns.map(function (column, i) {
      if (!i || !sameTrack()) return {};
      return Object.fromEntries(lines().map(function ([, key]) { return [key, difference(numbers(columns[0], key), numbers(column, key), column.runs[0].own_orders)]; }));
    });
    holm(found.flatMap(Object.values));
    return found;
  }

  const wordOf = function (found) { return found.doubt ? "" : !found.apart ? "tie" : found.value > 0 ? "better" : "worse"; };

  function verdict(found) {
    if (!found) return null;
    const number = found.value === null ? "" : (found.value >= 0 ? "+" : "") + P.fixed(found.value);
    if (found.doubt) return el("span", { class: "verdict" }, number, el("span", { class: "span" }, found.doubt + ": no verdict"));
    const word = wordOf(found);
    const shape = { tie: "=", better: "▲", worse: "▼" }[word];
    return el("span", { class: "verdict " + word }, el("span", { "aria-hidden": "true" }, shape + " "), word, " ", number, el("span", { class: "span" }, P.fixed(found.low) + " to " + P.fixed(found.high)));
  }

  const named = function (column) { const row = rowOf(column); return row ? row.label : column.label; };

  /* Why the board has no verdict on a column beside the first one. */
  function reason(column) {
    if (!sameTrack()) return "different tracks";
    for (const one of [columns[0], column]) {
      const row = rowOf(one);
      const whose = one === column ? "" : named(one) + ": ";
      if (!row) return whose + "not a whole row of the board";
      if (row.rank[1]) return whose + row.rank[1];
    }
    return "too few seeds in common";
  }

  /* The headline's verdict in a sentence, before all figures. */
  function sentence() {
    const old = document.getElementById("compare-verdict");
    if (old) old.remove();
    if (columns.length < 2) return;
    const first = named(columns[0]);
    const pairs = columns.slice(1).map(function (column) { return { column, pair: sameTrack() ? onBoard(column) : null }; });
    const size = function ({ column, pair }) {
      const ends = (pair.value < 0 ? [-pair.high, -pair.low] : [pair.low, pair.high]).map(function (v) { return P.fixed(v, 0); });
      return named(column) + " (by " + P.fixed(Math.abs(pair.value), 0) + "; 95 % interval " + ends.join(" to ") + ")";
    };
    const said = function (start, fits) {
      const found = pairs.filter(function (one) { return one.pair && fits(one.pair); });
      return found.length ? first + start + found.map(size).join(", ") + ". " : "";
    };
    const none = pairs.filter(function (one) { return !one.pair; }).map(function (one) { return named(one.column) + " (" + reason(one.column) + ")"; });
    document.getElementById("compare-table").closest(".scroll").before(el("p", { id: "compare-verdict" },
      el("strong", {}, "Effective edits, by the board’s rule: "),
      said(" holds more than ", function (pair) { return pair.apart && pair.value < 0; }),
      said(" holds fewer than ", function (pair) { return pair.apart && pair.value > 0; }),
      said(" is not told apart from ", function (pair) { return !pair.apart; }),
      none.length ? "Not compared: " + none.join(", ") + "." : ""));
  }

  /* One cell of the table for the CSV, with its numbers as they are and not as they are shown. */
  function keep(metric, form, column, figure, test) {
    shown.push({ metric, form, column, figure, test: test ? [test.value, test.low, test.high, wordOf(test)] : ["", "", "", ""] });
  }

  /* Ends of the interval of a column of one run. */
  function ends(column, key) {
    const curve = column.runs.length > 1 ? null : column.runs[0].curves[key];
    const place = curve && curve[2] ? curve[0].indexOf(state.at) : -1;
    return place < 0 ? [null, null] : [curve[2][place], curve[3][place]];
  }

  function line([label, key], compared) {
    return el("tr", {}, el("th", { scope: "row" }, label), columns.map(function (column, i) {
      const found = numbers(column, key);
      const gone = collapsed(column, key);
      const value = found.length && !gone ? mean(found.map(function (one) { return one[1]; })) : null;
      const [low, high] = ends(column, key);
      keep(key.split("|")[0], key === "abilities_kept|" ? "" : state.form, column, [value, low, high], compared[i][key]);
      return el("td", { class: "num" }, el("span", { class: "value" }, P.fixed(value)), gone ? el("span", { class: "span" }, "collapsed") : null,
        low === null ? null : el("span", { class: "span" }, P.fixed(low) + "–" + P.fixed(high)), verdict(compared[i][key]));
    }));
  }

  /* Whole rows as on the board, other columns run by run. */
  function headline() {
    return el("tr", {}, el("th", { scope: "row" }, "Effective edits"), columns.map(function (column, i) {
      const row = rowOf(column);
      const pair = i && sameTrack() ? onBoard(column) : null;
      const figures = row ? [row.effective] : column.runs.map(function (run) { return run.effective; });
      const alone = column.runs.length === 1 ? column.runs[0].held : [mean(column.runs.map(function (run) { return run.held[0]; })), null, null];
      keep("effective_edits", "", column, row ? board.held[row.id] : alone, pair);
      return el("td", { class: "num" }, figures.map(function (one) { return el("span", { class: "value block" }, one[0], one[1] ? el("span", { class: "span" }, one[1]) : null); }),
        pair ? verdict(pair) : i && sameTrack() ? el("span", { class: "span" }, "not compared") : null);
    }));
  }

  const plain = function (label, make) { return el("tr", {}, el("th", { scope: "row" }, label), columns.map(function (column) { return el("td", { class: "num" }, make(column)); })); };
  const costs = function (column, key) { const known = column.runs.map(function (run) { return run[key]; }).filter(function (v) { return v !== null; }); return known.length ? mean(known) : null; };

  function draw() {
    const points = checkpoints();
    const form0 = columns[0].runs[0].form === "zsre" ? ["token_accuracy"] : ["argmax", "preference"];
    if (!form0.includes(state.form)) state.form = form0[0];
    if (!points.includes(state.at)) state.at = points.length ? points[points.length - 1] : 0;
    controls(points, form0);
    shown = [];
    const compared = tests();
    const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, sameTrack() ? "After " + P.thousands(state.at) + " edits" : "Different tracks"), columns.map(function (column, i) {
      const ids = column.runs.map(function (run) { return el("a", { href: P.root + "run/" + run.id + ".html" }, run.runs ? "" : run.id.slice(0, 6)); });
      return el("th", { scope: "col", class: "num" }, P.swatch(column.look), " ", column.label, el("span", { class: "span" }, ids.flatMap(function (link, n) { return n ? [" ", link] : [link]; })),
        el("span", { class: "span" }, i ? el("button", { type: "button", class: "seeds", data: { focus: "first " + column.runs[0].id }, on: { click: function () { state.groups.unshift(state.groups.splice(i, 1)[0]); write(); } } }, "make first") : "reference", " · ",
          el("button", { type: "button", class: "seeds", data: { focus: "remove " + column.runs[0].id }, "aria-label": "Remove " + column.label, on: { click: function () { state.groups.splice(i, 1); write(); } } }, "remove")));
    })));
    const body = el("tbody", {},
      plain("Model and task", function (column) { const run = column.runs[0]; return [run.model, el("span", { class: "span" }, run.task + ", " + P.thousands(run.edits) + " edits" + run.older)]; }),
      headline(),
      lines().map(function (one) { return line(one, compared); }),
      plain("Seconds per edit", function (column) { return P.significant(costs(column, "seconds")); }),
      plain("Peak memory, MB", function (column) { return P.fixed(costs(column, "memory"), 0); }));
    const table = document.getElementById("compare-table");
    P.keepFocus(table, function () { table.replaceChildren(el("caption", { class: "visually-hidden" }, "Comparison of " + columns.map(function (column) { return column.label; }).join(", ")), head, body); });
    document.getElementById("compare-how").hidden = !sameTrack() || columns.length < 2;
    note(lost + (sameTrack() ? columns.length === 1 ? "Add a second editor or run to compare with." : "" : "These runs are on different tracks: shown side by side, but not tested against each other."));
    sentence();
    curves();
    settings();
    document.dispatchEvent(new CustomEvent("palimpsest:compare", { detail: { columns, at: state.at, form: state.form, sameTrack: sameTrack() } }));
  }

  function controls(points, forms) {
    const at = document.getElementById("compare-at");
    at.replaceChildren(...points.map(function (edits) { return el("option", { value: edits }, P.thousands(edits) + " edits"); }));
    at.value = String(state.at);
    const box = document.getElementById("compare-forms");
    box.hidden = forms.length < 2;
    P.keepFocus(box, function () {
      box.replaceChildren(el("legend", {}, "Form"), ...forms.map(function (form) {
        return el("label", {}, el("input", { type: "radio", name: "form", value: form, checked: form === state.form, autocomplete: "off", data: { focus: "form " + form }, on: { change: function () { state.form = form; write(); } } }), el("span", {}, form.replace("_", " ")));
      }));
    });
  }

  /* What a saved figure says of where it is from. */
  function about() {
    const known = columns.map(function (column) { return column.runs.map(function (run) { return run.about; }); }).flat();
    const date = known.map(function (one) { return one.date; }).sort().pop();
    return sameTrack() ? { words: known[0].track, date, file: known[0].track_file } : { words: "different tracks", date, file: "" };
  }

  function curves() {
    [["compare-scores", "score_" + state.form + "|all", "Score (" + state.form.replace("_", " ") + ")"], ["compare-abilities", "abilities_kept|", "Abilities kept"]].forEach(function ([name, key, title]) {
      if (!figures[name]) figures[name] = P.figure(document.getElementById(name));
      const lines = columns.flatMap(function (column) { return column.runs.map(function (run) { return [column, run]; }); });
      const aligned = P.align(lines.map(function (one) { return one[1].curves[key]; }));
      figures[name].show({ title, xs: aligned.xs, percent: true, name: key.replace(/\|.*/, "") + "-compared", about: about(), lineWord: "Run", sync: "compare",
        lines: lines.map(function ([column, run], i) { return Object.assign({ key: run.id, label: column.runs.length > 1 ? run.title + ", seed " + run.seed : column.label, look: column.look }, aligned.lines[i]); }) });
    });
  }

  function settings() {
    const configs = columns.map(function (column) { return Object.assign({ version: column.runs[0].version, editor: column.runs[0].title }, column.runs[0].config); });
    const keys = Array.from(new Set(configs.flatMap(Object.keys))).sort().filter(function (key) { return new Set(configs.map(function (config) { return config[key]; })).size > 1; });
    document.getElementById("compare-settings").replaceChildren(el("caption", { class: "visually-hidden" }, "Settings that differ"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Setting"), columns.map(function (column) { return el("th", { scope: "col" }, column.label); }))),
      el("tbody", {}, keys.length ? keys.map(function (key) { return el("tr", {}, el("th", { scope: "row" }, el("code", {}, key)), configs.map(function (config) { return el("td", {}, config[key] === undefined ? "–" : config[key]); })); })
        : el("tr", {}, el("td", { colspan: columns.length + 1 }, "None."))));
  }

  function csv() {
    const cell = function (text) { const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text; return '"' + String(safe).replace(/"/g, '""') + '"'; };
    const head = ["track_id", "model", "task", "edits_planned", "batch_size", "edit_order", "protocol", "date", "verified", "edits", "metric", "form", "column", "runs", "value", "low", "high", "difference", "difference_low", "difference_high", "verdict"];
    const rows = [head].concat(shown.map(function ({ metric, form, column, figure, test }) {
      const run = column.runs[0];
      const ids = column.runs.map(function (one) { return one.id; }).join(" ");
      const at = metric === "effective_edits" ? run.edits : state.at;
      const last = function (days) { return days.every(Boolean) ? days.slice().sort().pop() : ""; };
      const [dates, verified] = ["date", "verified"].map(function (name) { return last(column.runs.map(function (one) { return one[name]; })); });
      return run.origin.concat([dates, verified, at, metric, form, column.label, ids]).concat(figure.concat(test).map(function (v) { return v === null || v === undefined ? "" : v; }));
    }));
    return rows.map(function (row) { return row.map(function (one) { return cell(String(one)); }).join(","); }).join("\n") + "\n";
  }

  function add(group) {
    if (!group.length || state.groups.length >= MOST) return;
    state.groups.push(group);
    write();
  }
  document.getElementById("add").addEventListener("change", function (event) { const chosen = event.target.value; event.target.value = ""; if (chosen) add(chosen.split(".")); });
  document.getElementById("add-id").addEventListener("keydown", function (event) {
    if (event.key !== "Enter") return;
    const id = event.target.value.trim().toLowerCase();
    if (/^[0-9a-z]{4,64}$/.test(id)) { event.target.value = ""; add([id]); }
    else note("A run's id has letters and digits only, e.g. 3f9c2a7b10de.");
  });
  document.getElementById("compare-at").addEventListener("change", function (event) { state.at = Number(event.target.value); write(); });
  document.getElementById("compare-csv").addEventListener("click", function () { P.offer(["palimpsest", about().file, "comparison", state.at].filter(Boolean).join("-") + ".csv", "text/csv", csv()); });
  window.addEventListener("hashchange", read);
  window.addEventListener("popstate", read);
  read();
})();
