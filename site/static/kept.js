/* Facts that one column of the comparison holds and another does not, edit by edit, with a link to each in the other's run.

   A fact is held after so many edits if the prompt that taught it is answered by it, in the form that is compared. A column of
   several seeds holds it if all of them do, and does not if none does. Facts are matched by their texts: seeds may edit
   in an order of their own. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const CHUNK = 1000;
  const STEP = 25;
  const LAST_SHARE = "y";
  const section = document.getElementById("kept");
  const list = document.getElementById("kept-list");
  const note = document.getElementById("kept-note");
  const more = document.getElementById("kept-more");
  const holder = document.getElementById("kept-by");
  const loser = document.getElementById("lost-by");
  let compared = null;
  let shown = STEP;
  let stamp = null;

  /* ------------------------------------------------------------------ facts */
  function held(code, form) {
    if (form === "token_accuracy") return code === LAST_SHARE;
    return code !== "x" && Boolean(parseInt(code, 16) & (form === "argmax" ? 1 : 4));
  }

  /* What one run makes of the edit at a position: "held", "never", the edits by which it was lost, or null: not scored. */
  function outcome(run, position, at, form) {
    const blocks = run.courses[position].split(" ");
    let learned = false;
    let lost = null;
    let last = null;
    run.scored.forEach(function (edits, i) {
      const codes = (blocks[i] || "").replace("~", "").split(".")[0];
      if (edits > at || edits <= position || !codes) return;
      last = edits;
      if (held(codes[0], form)) { learned = true; lost = null; } else if (learned && lost === null) lost = edits;
    });
    const ended = run.status === "collapsed" && run.scored[run.scored.length - 1] < at;
    if (position >= at || (last !== at && !ended)) return null;
    if (!learned) return "never";
    if (lost === null && !ended) return "held";
    return lost === null ? run.scored.find(function (edits) { return edits > last; }) || at : lost;
  }

  function texts(run) {
    const count = Math.ceil(run.cases / CHUNK);
    return Promise.all(Array.from({ length: count }, function (_, n) {
      return P.need("cases/" + run.texts + "/index-" + n, "data/cases/" + run.texts + "/index-" + n + ".js");
    })).then(function (parts) { return parts.flat(); });
  }

  /* Fact → its text and what became of it in each run of a column; a fact that is edited twice counts twice. */
  function facts(column) {
    return Promise.all(column.runs.map(texts)).then(function (all) {
      const found = new Map();
      column.runs.forEach(function (run, place) {
        const twins = new Map();
        all[place].forEach(function (text, position) {
          const plain = JSON.stringify(text);
          twins.set(plain, (twins.get(plain) || 0) + 1);
          const key = plain + twins.get(plain);
          if (!found.has(key)) found.set(key, { text, runs: [] });
          found.get(key).runs.push({ id: run.id, position, outcome: outcome(run, position, compared.at, compared.form) });
        });
      });
      return found;
    });
  }

  const holds = function (fact) { return fact.runs.every(function (run) { return run.outcome === "held"; }); };
  const lacks = function (fact) { return fact.runs.every(function (run) { return run.outcome !== null && run.outcome !== "held"; }); };
  const lostAt = function (fact) { return fact.runs.map(function (run) { return run.outcome; }).filter(Number.isFinite).sort(function (a, b) { return a - b; })[0] || null; };

  function split(one, other) {
    const rows = [];
    let both = 0;
    one.forEach(function (mine, key) {
      const theirs = other.get(key);
      if (!theirs) return;
      if ([mine, theirs].every(function (fact) { return holds(fact) || lacks(fact); })) both += 1;
      if (holds(mine) && lacks(theirs)) rows.push({ text: mine.text, runs: theirs.runs, lostAt: lostAt(theirs) });
    });
    return { rows, both };
  }

  /* ------------------------------------------------------------------ drawing */
  const sentence = function (text) { return text[1].includes("{}") ? text[1].replace("{}", text[0]) : text[1] + " (" + text[0] + ")"; };

  function row(fact) {
    const first = fact.runs[0];
    return el("li", {}, el("a", { href: P.root + "run/" + first.id + ".html#case=" + (first.position + 1) },
      el("span", { class: "case-number" }, "Edit " + P.thousands(first.position + 1)), sentence(fact.text)),
    el("span", { class: "case-text" }, fact.text[3] ? [el("s", {}, fact.text[3]), " ", el("span", { "aria-hidden": "true" }, "→ "), el("span", { class: "visually-hidden" }, "becomes ")] : null, el("b", {}, fact.text[2])),
    el("span", { class: "case-state " + (fact.lostAt ? "lost" : "never") }, fact.lostAt ? "forgotten by " + P.thousands(fact.lostAt) : "never learned"));
  }

  function draw(there, back) {
    const [mine, theirs] = [holder, loser].map(function (select) { return compared.columns[Number(select.value)].label; });
    const lost = there.rows.filter(function (fact) { return fact.lostAt; }).length;
    const seeds = compared.columns.some(function (column) { return column.runs.length > 1; }) ? " Of several seeds all must agree." : "";
    note.textContent = "After " + P.thousands(compared.at) + " edits " + mine + " holds " + P.thousands(there.rows.length) + " of " + P.thousands(there.both) + " facts that " + theirs + " does not: " +
      P.thousands(lost) + " forgotten, " + P.thousands(there.rows.length - lost) + " never learned. The other way round it is " + P.thousands(back.rows.length) + "." + seeds;
    list.replaceChildren(...there.rows.slice(0, shown).map(row));
    more.hidden = there.rows.length <= shown;
  }

  function update() {
    const columns = compared ? compared.columns : [];
    section.hidden = columns.length < 2 || !compared.sameTrack || !compared.at;
    if (section.hidden) return;
    const [one, other] = [holder, loser].map(function (select) { return columns[Number(select.value)]; });
    const mine = stamp = {};
    if (one === other) { note.textContent = "Choose two different columns."; list.replaceChildren(); more.hidden = true; return; }
    Promise.all([one, other].map(facts)).then(function ([a, b]) {
      if (mine === stamp) draw(split(a, b), split(b, a));
    }, function (error) { note.textContent = "The facts cannot be shown: " + error.message + "."; list.replaceChildren(); });
  }

  /* The choice stays with its columns while others come and go. */
  function offer() {
    [holder, loser].forEach(function (select, place) {
      const before = select.value === "" ? "" : select.options[Number(select.value)].textContent;
      select.replaceChildren(...compared.columns.map(function (column, i) { return el("option", { value: i }, column.label); }));
      const again = compared.columns.findIndex(function (column) { return column.label === before; });
      select.value = String(again >= 0 ? again : Math.min(place, compared.columns.length - 1));
    });
    if (holder.value === loser.value && compared.columns.length > 1) loser.value = holder.value === "0" ? "1" : "0";
  }

  [holder, loser].forEach(function (select) { select.addEventListener("change", function () { shown = STEP; update(); }); });
  document.getElementById("kept-swap").addEventListener("click", function () {
    [holder.value, loser.value] = [loser.value, holder.value];
    shown = STEP;
    update();
  });
  more.addEventListener("click", function () { shown += 4 * STEP; update(); });
  document.addEventListener("palimpsest:compare", function (event) {
    compared = event.detail;
    shown = STEP;
    offer();
    update();
  });
})();
