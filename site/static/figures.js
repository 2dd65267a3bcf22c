/* Figures with uPlot: curves with bands, markers and hover values, and a scatter plot; each with a table and SVG/PNG.

   palimpsest.figure(element) gives {show(spec)}. A spec of curves (plot_curves.js) is
     {title, xs, xLabel, lines, percent, logX, logY, rules: [{y, label}], name, about}
   with lines [{key, label, look: [colour, dash, marker], value: [], low: [], high: [], points: [[]], ended: [x, y] of a
   collapse, mark: [x, y], rings: [[x, y]]}], and with xName: x => text where xs are not numbers of edits;
   of a scatter plot (plot_scatter.js) {scatter: true, title, xLabel, yLabel, marks: [{label, look, x, y, size, filled, note}], front: [[x, y]]}.
   name and about, {words, date, file}, say in a saved figure and in its file's name which track and metric it shows.
   Colours come from the stylesheet's classes s0…s11, so that light, dark and print need nothing here but a redraw. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const { colourOf } = P.plotParts;
  const all = [];

  function make(figure) {
    const plot = figure.querySelector("[data-plot]");
    const live = figure.querySelector("[data-plot-live]");
    const table = figure.querySelector("[data-plot-table]");
    const small = figure.classList.contains("small");
    const tip = el("div", { class: "tip", hidden: true });
    const legend = el("div", { class: "legend", role: "group", "aria-label": "Lines; press one to hide or show it" });
    const off = new Set();
    let given = null;
    let drawn = null;
    let chart = null;

    const axis = function (extra) {
      const font = (small ? "11px " : "12px ") + window.getComputedStyle(plot).fontFamily;
      const rule = colourOf(figure, "", "--rule");
      return Object.assign({ stroke: colourOf(figure, "", "--soft"), font, labelFont: font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 } }, extra);
    };

    function put(left, top) {
      const beyond = left + tip.offsetWidth + 18 > plot.clientWidth;
      tip.style.left = Math.max(0, beyond ? left - tip.offsetWidth - 14 : left + 14) + "px";
      tip.style.top = top + "px";
    }

    const frame = { figure, plot, tip, small, axis, put, cursor: -1 };

    function fillTable() {
      if (!table) return;
      table.replaceChildren(el("table", { class: "matrix" }, el("caption", {}, given.title),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, given.lineWord || "Line"), drawn.head().map(function (one) { return el("th", { scope: "col", class: "num" }, one); }))),
        el("tbody", {}, drawn.rows().map(function (row) {
          return el("tr", {}, el("th", { scope: "row" }, P.swatch(row[0].look), " " + row[0].label), row[1].map(function (cell) {
            return el("td", { class: "num" }, el("span", { class: "value" }, cell[0]), cell[1] ? el("span", { class: "span" }, cell[1]) : null);
          }));
        }))));
    }

    function draw() {
      if (chart) chart.destroy();
      chart = null;
      plot.classList.toggle("is-empty", drawn.isEmpty);
      plot.dataset.empty = drawn.isEmpty ? given.empty || "Nothing to draw." : "";
      tip.hidden = true;
      if (drawn.isEmpty || !plot.clientWidth) return;
      chart = new window.uPlot(drawn.options(), drawn.columns(), plot);
      plot.appendChild(tip);
      if (frame.cursor >= 0 && document.activeElement === plot) drawn.again(chart, frame.cursor);
    }

    /* Names beside their lines; pressing one hides its line. Where the page has its own legend there is none. */
    function fillLegend() {
      if (given.scatter || given.legend === false || small) return;
      if (!legend.isConnected) plot.before(legend);
      legend.hidden = given.lines.length < 2;
      legend.replaceChildren(...given.lines.map(function (line) {
        return el("button", { type: "button", "aria-pressed": String(!off.has(line.key)), on: { click: function () {
          if (off.has(line.key)) off.delete(line.key); else off.add(line.key);
          show(given).then(function () {
            const again = Array.from(legend.children).find(function (button) { return button.textContent === line.label; });
            if (again) again.focus();
          });
        } } }, P.swatch(line.look), el("span", {}, line.label));
      }));
    }

    function show(next) {
      given = next;
      fillLegend();
      const lines = off.size && !given.scatter ? { lines: given.lines.filter(function (line) { return !off.has(line.key); }) } : {};
      drawn = P.plots[given.scatter ? "scatter" : "curves"](Object.assign({}, given, lines), frame);
      fillTable();
      return P.load("static/vendor/uPlot.iife.min.js").then(draw);
    }

    function leave() {
      if (chart) chart.setCursor({ left: -10, top: -10 });
      frame.cursor = -1;
      tip.hidden = true;
    }

    function step(event) {
      const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (!chart) return;
      if (event.key === "Escape") { leave(); return; }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const end = drawn.count - 1;
      const from = frame.cursor < 0 ? (event.key === "ArrowLeft" ? end + 1 : -1) : frame.cursor;
      live.textContent = drawn.go(chart, Math.min(end, Math.max(0, from + moves[event.key])));
    }

    plot.addEventListener("keydown", step);
    plot.addEventListener("blur", leave);
    new ResizeObserver(function () {
      if (!drawn || plot.clientWidth === 0 || !window.uPlot) return;
      if (chart) chart.setSize({ width: plot.clientWidth, height: plot.clientHeight });
      else draw();
    }).observe(plot);
    figure.querySelectorAll("[data-save]").forEach(function (button) {
      button.addEventListener("click", function () {
        P.load("static/save.js").then(function () { P.save(button.dataset.save, drawn.spec, figure, chart); });
      });
    });
    const made = { show, redraw: function () { if (drawn && window.uPlot) draw(); } };
    all.push(made);
    return made;
  }

  const redrawAll = function () { all.forEach(function (one) { one.redraw(); }); };
  document.addEventListener("palimpsest:theme", redrawAll);
  P.figure = make;
})();
