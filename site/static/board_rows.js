/* The rows of a track's table: a line for an editor, one for each of its seeds, one for what a paper reports.

   Cells follow the columns of the head, which the page itself names in order; a hidden column has no cells. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const SCORES = ["score", "efficacy", "paraphrase", "neighborhood"];
  const MOST_RUNS = 6;
  const PAPER = /^\d{4}\.\d{4,5}$/;

  const value = function (text) { return el("span", { class: "value" }, text); };
  const span = function (text) { return text ? el("span", { class: "span" }, text) : null; };
  const cell = function (row, metric) { const at = P.board.cells; return at && at.cells[metric] ? at.cells[metric][row.index] : null; };

  /* The metric that a column of measured numbers shows; null for a column of something else. */
  function metricOf(column) {
    if (SCORES.includes(column)) return column + "_" + P.board.state.form;
    if (column === "abilities") return "abilities_kept";
    return P.board.data.metrics.includes(column) ? column : null;
  }

  function interval(found) {
    if (!found) return value("–");
    return [value(P.fixed(found[0])), span(found.length > 1 ? P.fixed(found[1]) + "–" + P.fixed(found[2]) : "")];
  }

  function course(bar) {
    const rect = function (name, x, width, y, height) { return el("rect", { class: name, x, y, width, height }); };
    return el("span", { class: "course" },
      el("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
        rect("bar-course", 0, 100, 0, 9), rect("bar-made", 0, bar[1], 0, 9), rect("bar-reached", 0, bar[0], 0, 9),
        bar[3] > bar[2] ? rect("bar-interval", bar[2], Math.round(100 * (bar[3] - bar[2])) / 100, 11, 1.8) : null));
  }

  /* Filters as chips before their host: reads "SPHERE on AlphaEdit". */
  function composition(row) {
    if (row.parts.length < 2 || !row.label.startsWith(row.title)) return row.label;
    const filters = row.parts.slice(0, -1).flatMap(function (part) { return [el("span", { class: "chip filter" }, part), el("span", { class: "visually-hidden" }, " on ")]; });
    return filters.concat(row.parts[row.parts.length - 1] + row.label.slice(row.title.length));
  }

  const runLink = function (run, text, label) { return el("a", { class: "run", href: P.root + "run/" + run[0] + ".html", "aria-label": label, data: { focus: "run " + run[0] } }, text); };

  function runs(row, tools) {
    if (row.runs.length < 2) return [runLink(row.runs[0], "run"), " of seed " + row.runs[0][1]];
    const opened = tools.isOpen(row.id);
    return [
      el("button", { type: "button", class: "seeds", "aria-expanded": String(opened), data: { focus: "seeds " + row.id }, on: { click: function () { tools.toggle(row.id); } } }, row.runs.length + " seeds"),
      " · runs", ...row.runs.slice(0, MOST_RUNS).flatMap(function (run) { return [" ", runLink(run, run[1], "run of seed " + run[1])]; }), row.runs.length > MOST_RUNS ? " …" : null,
    ];
  }

  function name(row, tools) {
    const full = tools.isFull(row.id);
    return el("th", { role: "rowheader", scope: "row", class: "editor" },
      el("a", { class: "to-editor", href: P.root + "editor/" + row.editor + ".html", data: { focus: "row " + row.id, cut: "" } }, P.swatch(row.look), el("span", { class: "name" }, composition(row))),
      el("span", { class: "span" },
        row.third ? el("span", { class: "third" }, row.third, " ") : null,
        el("span", { class: "wide-only" }, row.version, " · "), ...runs(row, tools),
        el("span", { class: "phone-only" }, " · ", el("button", { type: "button", class: "seeds", "aria-expanded": String(full), "aria-label": "All figures of " + row.label, data: { focus: "full " + row.id }, on: { click: function () { tools.toggleFull(row.id); } } }, "all figures")),
        row.verified ? el("span", { class: "chip verified", title: "A re-run agreed on " + row.verified }, "✓ verified " + row.verified) : row.submitted ? el("span", { class: "chip", title: "Sent in by somebody; nobody has done the run again yet, so it is a row of its own" }, "submitted, not reproduced") : null));
  }

  function status(row) {
    return row.status.map(function (one) {
      const several = row.status.length > 1;
      return el("span", { class: "status " + one[2] }, el("span", { class: "shape", "aria-hidden": "true" }, one[1]), " " + (several ? one[3] + " " : "") + one[0] + (one[0] === "complete" || several ? "" : " at " + P.thousands(row.done)));
    });
  }

  /* One line: for each shown column what `make` says of it, or the whole cell where it makes that. */
  function cells(make) {
    const off = P.board.state.hide.split(".");
    return P.board.columns.filter(function (column) { return !off.includes(column.key); }).map(function (column) {
      const made = make(column.key);
      if (made instanceof HTMLTableCellElement) return made;
      const style = { effective: "effective", status: "state", date: "date", verified: "verified-cell", rank: "rank" }[column.key] || "num";
      return el("td", { role: "cell", class: style, data: { column: column.key, label: column.title } }, made);
    });
  }

  function line(row, on, tools) {
    const box = el("input", { type: "checkbox", checked: on, autocomplete: "off", "aria-label": "Show " + row.label + " in the figures", data: { focus: "pick " + row.id },
      on: { change: function (event) { tools.pick(row, event.currentTarget.checked); } } });
    const fixed = {
      rank: function () { return el("td", { role: "cell", class: "rank", title: row.rank[1] || null }, value(row.rank[0]), row.rank[1] ? el("span", { class: "visually-hidden" }, " " + row.rank[1]) : null); },
      editor: function () { return name(row, tools); },
      effective: function () {
        return el("div", { class: "gauge" }, el("span", { class: "headline" }, row.effective[0]), course(row.bar), el("span", { class: "span", title: row.effective[3] }, row.effective[1]),
          el("span", { class: "span" }, "h " + P.fixed((cell(row, "quality") || [null])[0]) + " %"));
      },
      courses: function () { return [value(row.courses[0]), span(row.courses[1])]; },
      until: function () { return [value(row.until[0][0]), span(row.until[1][0])]; },
      seconds: function () { return value(row.seconds[0]); },
      memory: function () { return value(row.memory[0]); },
      status: function () { return status(row); },
      date: function () { return row.date; },
      verified: function () { return row.verified ? [el("a", { href: P.root + "history.html", data: { focus: "verified " + row.id } }, "✓ " + row.verified), span(row.verified_by)] : "–"; },
    };
    return el("tr", { role: "row", data: { row: row.id }, class: [row.ended ? "" : "unranked", tools.isFull(row.id) ? "is-full" : ""].filter(Boolean).join(" ") || null },
      el("td", { role: "cell", class: "choose" }, box),
      cells(function (column) { return fixed[column] ? fixed[column]() : interval(cell(row, metricOf(column))); }));
  }

  /* Single seeds of a row, each with its own figures; no intervals, since theirs are over cases alone. */
  function seeds(row) {
    const counted = row.counted || row.runs.map(function (run) { return run[0]; });
    const values = P.board.cells.seeds[String(row.index)] || {};
    return row.runs.map(function (run) {
      const place = counted.indexOf(run[0]);
      const fixed = {
        rank: function () { return null; },
        editor: function () { return el("th", { role: "rowheader", scope: "row", class: "editor" }, runLink(run, "seed " + run[1])); },
        effective: function () { return el("span", { class: "headline" }, run[4]); },
        status: function () { return el("span", { class: "status" }, run[3] + " " + run[2]); },
      };
      return el("tr", { role: "row", class: "seed", data: { run: run[0] } }, el("td", { role: "cell", class: "choose" }), cells(function (column) {
        if (fixed[column]) return fixed[column]();
        const metric = metricOf(column);
        return metric ? value(P.fixed(place >= 0 && values[metric] ? values[metric][place] : null)) : null;
      }));
    });
  }

  /* What a paper reports: never ranked, never in the figures, its source beside it. */
  function reference(row) {
    const source = PAPER.test(row.arxiv) ? el("a", { href: "https://arxiv.org/abs/" + row.arxiv, rel: "noopener nofollow" }, row.source) : row.source;
    const fixed = {
      rank: function () { return el("span", { class: "visually-hidden" }, "not ranked"); },
      editor: function () {
        return el("th", { role: "rowheader", scope: "row", class: "editor" }, el("span", { class: "name" }, row.title),
          el("span", { class: "span" }, el("span", { class: "chip" }, "published, not measured here"), " ", source, row.note ? " · " + row.note : ""));
      },
      abilities: function () { return null; },
      status: function () { return "published"; },
    };
    return el("tr", { role: "row", class: "published" }, el("td", { role: "cell", class: "choose" }), cells(function (column) {
      if (fixed[column]) return fixed[column]();
      const metric = metricOf(column);
      return metric ? value(P.fixed(row.values[metric])) : null;
    }));
  }

  P.boardRows = { line, seeds, reference, cell, metricOf };
})();
