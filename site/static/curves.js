/* Figures of a track: curves of the chosen rows, small multiples of the abilities, and the Pareto plot. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const section = document.getElementById("board-section");
  if (!section) return;
  const SCORES = ["score", "efficacy", "paraphrase", "neighborhood"];
  const NAMES = { quality: "Held (h)", score: "Score", efficacy: "Efficacy", paraphrase: "Paraphrase", neighborhood: "Neighborhood" };
  const FORMS = { argmax: "argmax", preference: "preference", token_accuracy: "token accuracy" };
  const WINDOWS = { all: "all edits so far", first: "first quarter of the edits", latest: "latest quarter of the edits", first_1000: "first 1,000 edits", last_1000: "last 1,000 edits" };
  const EXTRAS = {
    neighborhood_top: "Neighborhood prompts answered as before", neighborhood_top_tokens: "Tokens of neighborhood answers as before",
    neighborhood_top_deltaedit: "Neighborhood as before, DeltaEdit’s form", neighborhood_top_preference_deltaedit: "Neighborhood as before, DeltaEdit’s preference form",
    locality_easyedit: "Locality, EasyEdit’s form", multi_hop_any_mquake: "Many hops, any question, MQuAKE’s form",
    fluency: "Fluency (bits × 100)", fluency_special_tokens: "Fluency with special tokens, published form (bits × 100)", consistency_own: "Consistency, own references",
  };
  Object.entries({ portability: "Portability", portability_reasoning: "Portability to one more fact", portability_alias: "Portability to another name", portability_logic: "Portability by logic", multi_hop: "Many hops", distracting: "Neighborhood behind the edit’s sentence" }).forEach(function ([name, label]) {
    EXTRAS[name + "_argmax"] = label + " (argmax)";
    EXTRAS[name + "_token_accuracy"] = label + " (token accuracy)";
  });
  const REFERENCES = 8;
  const figures = {};
  const seen = new Set();
  const loaded = new Map();
  let others = "";

  const folder = function (row) { return row.runs.length > 1 ? "row/" + row.id : "run/" + row.runs[0][0]; };

  /* Curves of a row: its run's own, or those of its seeds taken together. */
  function curvesOf(row) {
    const name = folder(row);
    return P.need(name, "data/" + name + "/run.js").then(function (found) { loaded.set(row.id, found); return found; });
  }
  function diagnosticsOf(row) {
    const name = row.runs.length > 1 ? "row-diagnostics/" + row.id : "diagnostics/" + row.runs[0][0];
    return P.need(name, "data/" + folder(row) + "/diagnostics.js").then(function (found) { return found || { names: {}, curves: {} }; });
  }

  function start() {
    ["curve-scores", "curve-abilities", "pareto"].forEach(function (id) {
      figures[id] = P.figure(document.getElementById(id));
      P.whenNear(document.getElementById(id), function () { seen.add(id); update(); });
    });
    P.whenNear(document.getElementById("multiples"), function () { seen.add("multiples"); update(); });
    document.querySelectorAll("select[data-curve]").forEach(function (select) {
      select.addEventListener("change", function () { P.board.set({ [select.dataset.curve === "scores" ? "y" : "z"]: select.value }); });
    });
    document.getElementById("log-x").addEventListener("change", function (event) { P.board.set({ logx: event.target.checked ? "1" : "" }); });
    document.getElementById("refs").addEventListener("change", function (event) { P.board.set({ refs: event.target.checked ? "" : "0" }); });
    document.getElementById("log-y").addEventListener("change", function (event) { P.board.set({ logy: event.target.checked ? "1" : "" }); });
  }

  /* ------------------------------------------------------------------ which curve */
  const keyOfScores = function () { return P.board.state.y || "quality|all"; };
  const keyOfOthers = function () { return P.board.state.z || "abilities_kept|"; };

  function scoreOptions(select) {
    if (select.options.length) return;
    select.append(el("option", { value: "quality|all" }, NAMES.quality + ": what the edits are worth"));
    Object.keys(WINDOWS).filter(function (window_) { return P.board.data.edits > 1000 || !window_.endsWith("1000"); }).forEach(function (window_) {
      const group = el("optgroup", { label: WINDOWS[window_] });
      SCORES.forEach(function (part) { group.append(el("option", { value: part + "|" + window_ }, NAMES[part] + ", " + WINDOWS[window_])); });
      select.append(group);
    });
  }

  /* Abilities, cost, and whatever diagnostics the chosen rows have; made anew only when the list is another. */
  function otherOptions(select, runs, measured) {
    const abilities = Array.from(new Set(runs.flatMap(function (run) { return Object.keys(run.curves).filter(function (key) { return key.startsWith("ability"); }); })));
    const groups = new Map([["General abilities", [["abilities_kept|", "Abilities kept"]]], ["Cost", [["seconds_per_edit|", "Seconds per edit"]]]]);
    abilities.forEach(function (key) {
      const [, kind, name] = key.match(/^ability(_\w+?)?:(.*)\|$/) || [null, "", key];
      groups.get("General abilities").push([key, P.abilityTitle(name) + (kind ? ": " + { _f1: "F1", _mcc: "MCC", _perplexity: "perplexity" }[kind] : ": items answered right")]);
    });
    const more = Object.keys(EXTRAS).filter(function (name) { return runs.some(function (run) { return run.curves[name + "|all"]; }); });
    if (more.length) groups.set("Texts, what is as before, and what follows", more.map(function (name) { return [name + "|all", EXTRAS[name]]; }));
    measured.forEach(function (one) {
      Object.entries(one.names).forEach(function ([key, [group, , label, layer]]) {
        if (!groups.has(group)) groups.set(group, []);
        const list = groups.get(group);
        if (!list.some(function (item) { return item[0] === key; })) list.push([key, label + (layer === null ? "" : ", layer " + layer)]);
      });
    });
    const print = JSON.stringify(Array.from(groups));
    if (print === others) return;
    others = print;
    select.replaceChildren(...Array.from(groups, function ([label, list]) { return el("optgroup", { label }, list.map(function (item) { return el("option", { value: item[0] }, item[1]); })); }));
  }

  /* ------------------------------------------------------------------ drawing */
  /* What a saved figure says of where it is from: the track, and the newest day of the editors in it. */
  const about = function (rows) { return Object.assign({}, P.board.data.about, { date: rows.map(function (row) { return row.date; }).sort().pop() || "" }); };

  function spec(rows, curves, more) {
    const extra = more.extra || [];
    const aligned = P.align(curves.concat(extra.map(function (item) { return item.curve; })));
    return Object.assign({
      xs: aligned.xs, lineWord: "Editor", legend: false, about: about(rows), logX: P.board.state.logx === "1", sync: "track",
      lines: rows.map(function (row, i) { return Object.assign({ key: row.id, label: row.label + (row.ended ? "" : " (not finished)"), look: row.look }, aligned.lines[i], more.mark ? { mark: more.mark(row, curves[i]) } : {}); })
        .concat(extra.map(function (item, i) { return Object.assign({ key: item.label, label: item.label, look: item.look }, aligned.lines[rows.length + i]); })),
      empty: rows.length ? "Not measured on the chosen editors." : "Tick an editor in the table to see its curve.",
    }, more);
  }

  /* What papers report of the chosen editors, as dotted lines in their colours; each paper's table is a line. */
  function published(metric, rows) {
    if (P.board.state.refs === "0") return [];
    const found = new Map();
    P.board.data.references.forEach(function (one) {
      const row = rows.find(function (item) { return item.editor === one.editor; });
      if (!row || one.values[metric] === undefined) return;
      const label = one.title + ", published in " + one.source;
      if (!found.has(label)) found.set(label, { label, look: [row.look[0], [1, 5], "bar"], points: new Map() });
      found.get(label).points.set(one.edits, one.values[metric]);
    });
    return Array.from(found.values()).slice(0, REFERENCES).map(function (item) {
      const xs = Array.from(item.points.keys()).sort(function (a, b) { return a - b; });
      return Object.assign(item, { curve: [xs, xs.map(function (x) { return item.points.get(x); })] });
    });
  }

  function ring(edits, curve) {
    if (edits === null || edits === undefined || !curve) return undefined;
    const value = P.valueAt(curve, edits);
    return value === null ? undefined : [edits, value];
  }

  function drawScores(rows, runs) {
    const [part, window_] = keyOfScores().split("|");
    const held = part === "quality";
    const metric = held ? part : part + "_" + P.board.state.form;
    const select = document.querySelector('select[data-curve="scores"]');
    scoreOptions(select);
    select.value = part + "|" + window_;
    const before = runs.map(function (run) { return run.curves[metric + "|planned"]; }).find(Boolean);
    figures["curve-scores"].show(spec(rows, runs.map(function (run) { return run.curves[metric + "|" + window_]; }), {
      title: NAMES[part] + (held ? "" : " (" + FORMS[P.board.state.form] + ")") + ", " + WINDOWS[window_], percent: true, name: metric + "-" + window_,
      rules: held ? [{ y: 80, label: "80 %" }, { y: 50, label: "50 %" }] : part === "neighborhood" && window_ === "all" && before ? [{ y: before[1][0], label: "before" }] : [],
      extra: window_ === "all" ? published(metric, rows) : [],
      mark: function (row, curve) { return held ? ring(row.ring, curve) : undefined; },
    }));
  }

  function drawOthers(rows, runs, measured) {
    const key = keyOfOthers();
    const select = document.querySelector('select[data-curve="others"]');
    otherOptions(select, runs, measured);
    select.value = key;
    const extra = key.split("|")[0] in EXTRAS;
    const own = extra || /^(abilit|seconds)/.test(key);
    const percent = own && !/^seconds|perplexity|^fluency/.test(key);
    const before = extra ? runs.map(function (run) { return run.curves[key.replace("|all", "|planned")]; }).find(Boolean) : undefined;
    const option = select.selectedOptions[0];
    figures["curve-abilities"].show(spec(rows, own ? runs.map(function (run) { return run.curves[key]; }) : measured.map(function (one) { return one.curves[key]; }), {
      title: option ? option.textContent : key, percent, logY: P.board.state.logy === "1" && !percent, name: key.replace(/\W+/g, "-"),
      rules: before ? [{ y: before[1][0], label: "before" }] : [],
    }));
  }

  function drawMultiples(rows, runs) {
    const box = document.getElementById("multiples");
    const keys = Array.from(new Set(runs.flatMap(function (run) { return Object.keys(run.curves).filter(function (key) { return key.startsWith("ability:"); }); })));
    keys.forEach(function (key) {
      if (!figures[key]) {
        const figure = el("figure", { class: "chart small", id: "multiple-" + Object.keys(figures).length },
          el("figcaption", {}, el("h3", {}, P.abilityTitle(key.slice(8, -1)))),
          el("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": P.abilityTitle(key.slice(8, -1)) + " against edits. Arrow keys read the values.", data: { plot: "" } }),
          el("p", { class: "visually-hidden", "aria-live": "polite", data: { plotLive: "" } }));
        box.append(figure);
        figures[key] = P.figure(figure);
        figures[key].element = figure;
      }
    });
    Object.keys(figures).filter(function (key) { return key.startsWith("ability:"); }).forEach(function (key) {
      figures[key].element.hidden = !keys.includes(key);
      if (keys.includes(key)) figures[key].show(spec(rows, runs.map(function (run) { return run.curves[key]; }), { title: P.abilityTitle(key.slice(8, -1)), percent: true, name: key.replace(/\W+/g, "-") }));
    });
    document.getElementById("multiples").dataset.count = String(keys.length);
  }

  function drawPareto(rows) {
    const { data, cells, state } = P.board;
    const scores = cells.cells["score_" + state.form];
    const kept = cells.cells.abilities_kept;
    const picked = new Set(rows.map(function (row) { return row.id; }));
    const usable = data.rows.filter(function (row) { return scores[row.index] && kept[row.index]; });
    const costs = usable.map(function (row) { return Number(row.seconds[1]) || 0; });
    const most = Math.max.apply(null, costs.concat(1e-9));
    const marks = usable.map(function (row, i) {
      return { label: row.label, look: row.look, x: kept[row.index][0], y: scores[row.index][0], size: costs[i] / most, filled: picked.has(row.id), note: ["Seconds per edit", row.seconds[0]] };
    });
    const front = [];
    marks.slice().sort(function (a, b) { return b.x - a.x || b.y - a.y; }).forEach(function (mark) {
      if (!front.length || mark.y > front[front.length - 1][1]) front.push([mark.x, mark.y]);
    });
    document.getElementById("pareto-at").textContent = "after " + P.thousands(state.at) + " edits, score in the " + FORMS[state.form] + " form";
    figures.pareto.show({ scatter: true, title: "Score (" + FORMS[state.form] + ") against abilities kept after " + P.thousands(state.at) + " edits", about: about(usable), xLabel: "Abilities kept, %", yLabel: "Score, %", marks, front, lineWord: "Editor", name: "score_" + state.form + "-against-abilities_kept-after-" + state.at, empty: "No editor has both here." });
  }

  /* Drawn anew only for other rows: what is pressed while the board is drawn must still be there when it is let go. */
  function legend(rows) {
    const box = document.getElementById("chosen");
    const names = rows.map(function (row) { return row.id; }).join(" ");
    if (box.dataset.rows === names) return;
    box.dataset.rows = names;
    P.keepFocus(box, function () { box.replaceChildren(...rows.map(function (row) {
      return el("button", { type: "button", data: { focus: "remove " + row.id }, "aria-label": "Remove " + row.label + " from the figures", on: { click: function () {
        const rest = P.board.chosen().filter(function (one) { return one.id !== row.id; }).map(function (one) { return one.id; });
        P.board.set({ rows: rest.length ? rest.join(".") : "none" });
      } } }, P.swatch(row.look), el("span", {}, row.label), el("span", { class: "remove", "aria-hidden": "true" }, "×"));
    })); });
    const runs = rows.slice(0, 6).map(function (row) { return (row.counted || row.runs.map(function (run) { return run[0]; })).join("."); });
    if (rows.length > 1) box.append(el("a", { class: "quiet-button", href: P.root + "compare.html#runs=" + runs.join(",") }, "Compare " + Math.min(6, rows.length) + " side by side"));
    document.getElementById("chosen-note").textContent = rows.length + " of " + P.board.data.rows.length + " editors chosen in the table";
  }

  function update() {
    if (!P.board || !P.board.cells) return;
    const rows = P.board.chosen();
    legend(rows);
    document.getElementById("refs").checked = P.board.state.refs !== "0";
    document.getElementById("refs").parentElement.hidden = !P.board.data.references.length;
    document.getElementById("log-x").checked = P.board.state.logx === "1";
    document.getElementById("log-y").checked = P.board.state.logy === "1";
    if (seen.has("pareto")) drawPareto(rows);
    if (!seen.has("curve-scores") && !seen.has("curve-abilities") && !seen.has("multiples")) return;
    const stamp = update.stamp = {};
    Promise.all(rows.map(curvesOf)).then(function (runs) {
      if (stamp !== update.stamp) return null;
      if (seen.has("curve-scores")) drawScores(rows, runs);
      if (seen.has("multiples")) drawMultiples(rows, runs);
      if (!seen.has("curve-abilities")) return null;
      return Promise.all(rows.map(diagnosticsOf)).then(function (measured) { if (stamp === update.stamp) drawOthers(rows, runs, measured); });
    });
  }

  start();
  document.addEventListener("palimpsest:board", update);
  if (P.board) update();
})();
