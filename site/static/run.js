/* Figures of a run: scores, windows, abilities, diagnostics by layer, spectra. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const head = document.getElementById("run");
  const id = head.dataset.run;
  const PARTS = { quality: "Held (h)", score: "Score", efficacy: "Efficacy", paraphrase: "Paraphrase", neighborhood: "Neighborhood" };
  const FORMS = { argmax: "argmax", preference: "preference", token_accuracy: "token accuracy" };
  const WINDOWS = { all: "all edits so far", first: "first quarter", latest: "latest quarter", first_1000: "first 1,000", last_1000: "last 1,000" };
  const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 4], [12, 4], [7, 2, 1, 2]];
  const MARKERS = ["circle", "square", "triangle", "diamond", "cross", "bar"];
  const look = function (i) { return [i % 12, DASHES[i % DASHES.length], MARKERS[i % MARKERS.length]]; };
  const state = { form: "", part: "score", diagnostic: "", logx: false, logy: false };
  const figures = {};
  let run = null;
  let measured = null;


  function show(name, heading, named, more) {
    const aligned = P.align(named.map(function (item) { return item[1]; }));
    figures[name].show(Object.assign({
      title: heading, xs: aligned.xs, logX: state.logx, sync: "run", percent: true, about: run.about,
      lines: named.map(function (item, i) { return Object.assign({ key: item[0], label: item[0], look: look(i) }, aligned.lines[i], item[2] ? { mark: item[2] } : {}); }),
    }, more));
  }

  function ring(edits, curve) {
    const value = edits === null || !curve ? null : P.valueAt(curve, edits);
    return value === null ? undefined : [edits, value];
  }

  function draw() {
    const curves = run.curves;
    const form = state.form;
    show("run-components", "Scores (" + FORMS[form] + "), all edits so far", Object.keys(PARTS).map(function (part) {
      const held = part === "quality";
      const curve = curves[(held ? part : part + "_" + form) + "|all"];
      return [PARTS[part], curve, held ? ring(run.ring, curve) : undefined];
    }).filter(function (item) { return item[1]; }), { name: "scores_" + form });
    show("run-windows", PARTS[state.part] + " (" + FORMS[form] + ") of old edits and new", Object.keys(WINDOWS).map(function (name) {
      return [WINDOWS[name], curves[state.part + "_" + form + "|" + name]];
    }).filter(function (item) { return item[1]; }), { name: state.part + "_" + form + "-windows" });
    const abilities = Object.keys(curves).filter(function (key) { return key.startsWith("ability:"); }).map(function (key) { return [P.abilityTitle(key.slice(8, -1)), curves[key].slice(0, 2)]; });
    const kept = curves["abilities_kept|"];
    if (kept) abilities.push(["abilities kept", kept]);
    show("run-abilities", "General abilities", abilities, { name: "abilities", empty: "No abilities were measured." });
    drawDiagnostic();
  }

  function drawDiagnostic() {
    if (!measured) return;
    const keys = Object.keys(measured.names).filter(function (key) { return measured.names[key][1] === state.diagnostic; });
    const about = keys.length ? measured.names[keys[0]] : null;
    show("run-diagnostics", about ? about[2] + (about[4] && about[4] !== "1" ? " (" + about[4] + ")" : "") : "Diagnostics", keys.map(function (key) {
      const layer = measured.names[key][3];
      return [layer === null ? about[2] : "layer " + layer, measured.curves[key]];
    }), { percent: false, logY: state.logy, name: state.diagnostic || "diagnostics", empty: "No diagnostics were measured." });
    const note = document.querySelector("#run-diagnostics > .note");
    if (about && note) note.textContent = about[5] ? about[5].charAt(0).toUpperCase() + about[5].slice(1) + "." : "One line per edited layer.";
  }

  function fillDiagnostics() {
    const select = document.getElementById("diagnostic");
    const groups = new Map();
    Object.values(measured.names).forEach(function ([group, name, label]) {
      if (!groups.has(group)) groups.set(group, new Map());
      groups.get(group).set(name, label);
    });
    groups.forEach(function (names, group) {
      select.append(el("optgroup", { label: group }, Array.from(names, function ([name, label]) { return el("option", { value: name }, label); })));
    });
    const wanted = ["update_norm", "weight_norm"].find(function (name) { return Object.values(measured.names).some(function (one) { return one[1] === name; }); });
    state.diagnostic = wanted || (select.options.length ? select.options[0].value : "");
    select.value = state.diagnostic;
    select.addEventListener("change", function () { state.diagnostic = select.value; drawDiagnostic(); });
  }

  /* Singular values are stored one rank at a time: singular_value:03 of layer 2. Rank becomes the axis. */
  function spectrum(base, at) {
    const found = new Map();
    Object.keys(measured.names).forEach(function (key) {
      const [, name, , layer] = measured.names[key];
      if (!name.startsWith(base + ":")) return;
      const [edits, values] = measured.curves[key];
      const place = at === "first" ? 0 : edits.length - 1;
      if (at === "first" && edits[0] !== 0) return;
      if (!found.has(layer)) found.set(layer, []);
      found.get(layer).push([Number(name.split(":")[1]), values[place]]);
    });
    return Array.from(found, function ([layer, points]) {
      points.sort(function (a, b) { return a[0] - b[0]; });
      return [layer, [points.map(function (p) { return p[0]; }), points.map(function (p) { return p[1]; })]];
    }).sort(function (a, b) { return a[0] - b[0]; });
  }

  function drawSpectra() {
    const after = spectrum("singular_value", "last");
    const update = spectrum("update_singular_value", "last");
    if (!after.length && !update.length) return;
    document.getElementById("spectra").hidden = false;
    const before = new Map(spectrum("singular_value", "first"));
    ["spectrum-weight", "spectrum-update"].forEach(function (name) { figures[name] = P.figure(document.getElementById(name)); });
    const options = { percent: false, logX: false, logY: true, xLabel: "rank", xWord: "rank", sync: undefined };
    const named = after.flatMap(function ([layer, curve]) {
      return (before.has(layer) ? [["layer " + layer + ", before", before.get(layer)]] : []).concat([["layer " + layer + ", after", curve]]);
    });
    show("spectrum-weight", "Singular values of the edited weights", named, Object.assign({ name: "singular_values" }, options));
    document.getElementById("spectrum-update").hidden = !update.length;
    show("spectrum-update", "Singular values of the update", update.map(function ([layer, curve]) { return ["layer " + layer, curve]; }), Object.assign({ name: "update_singular_values" }, options));
  }

  P.need("run/" + id, "data/run/" + id + "/run.js").then(function (found) {
    run = found;
    state.form = run.main.replace("score_", "");
    ["run-components", "run-windows", "run-abilities", "run-diagnostics"].forEach(function (name) { figures[name] = P.figure(document.getElementById(name)); });
    const parts = document.getElementById("windows-part");
    Object.keys(PARTS).filter(function (part) { return part !== "quality"; }).forEach(function (part) { parts.append(el("option", { value: part }, PARTS[part])); });
    parts.addEventListener("change", function () { state.part = parts.value; draw(); });
    document.querySelectorAll('input[name="form"]').forEach(function (radio) { radio.addEventListener("change", function () { state.form = radio.value; draw(); }); });
    document.getElementById("log-x").addEventListener("change", function (event) { state.logx = event.target.checked; draw(); });
    document.getElementById("log-y").addEventListener("change", function (event) { state.logy = event.target.checked; drawDiagnostic(); });
    draw();
    P.whenNear(document.getElementById("run-diagnostics"), function () {
      P.need("diagnostics/" + id, "data/run/" + id + "/diagnostics.js").then(function (value) {
        measured = value;
        fillDiagnostics();
        drawDiagnostic();
        drawSpectra();
      });
    });
  });
})();
