/* Figures with uPlot: curves with bands, markers and hover values, and a scatter plot; each with a table and SVG/PNG.

   palimpsest.figure(element) gives {show(spec)}. A spec of curves is
     {title, xs, xLabel, lines, percent, logX, logY, rules: [{y, label}], name, about}
   with lines [{key, label, look: [colour, dash, marker], value: [], low: [], high: [], points: [[]], ended: [x, y] of a
   collapse, mark: [x, y], rings: [[x, y]]}], and with xName: x => text where xs are not numbers of edits;
   of a scatter plot {scatter: true, title, xLabel, yLabel, marks: [{label, look, x, y, size, filled, note}], front: [[x, y]]}.
   name and about, {words, date, file}, say in a saved figure and in its file's name which track and metric it shows.
   Colours come from the stylesheet's classes s0…s11, so that light, dark and print need nothing here but a redraw. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const PERCENTS = [-40, -20, 0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200];
  const all = [];

  /* As the page has it, or as one colour scheme has it whatever the page's is. */
  function colourOf(element, className, property, scheme) {
    const probe = document.createElement("span");
    if (scheme) probe.style.colorScheme = scheme;
    if (className) probe.className = className;
    if (property) probe.style.color = "var(" + property + ")";
    element.appendChild(probe);
    const colour = window.getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }
  const faded = function (colour, alpha) { return "rgba(" + colour.match(/[\d.]+/g).slice(0, 3).join(",") + "," + alpha + ")"; };
  const text = function (spec, value) { return spec.percent ? P.fixed(value) : P.significant(value); };

  /* The label of a tick: as many digits as the step from one tick to the next has, so that labels are where they say. */
  function tick(value, step) {
    const size = Math.floor(Math.log10(step) + 1e-9);
    const lead = Number((step / 10 ** size).toPrecision(6));
    const digits = (Number.isInteger(lead) ? 0 : String(lead).length - 2) - size;
    if (value === 0 || (Math.abs(value) < 1e6 && digits <= 4)) return P.fixed(value, Math.max(0, value === 0 ? 0 : digits));
    return value.toExponential(Math.max(0, Math.floor(Math.log10(Math.abs(value)) + 1e-9) + digits)).replace(/-/g, "−");
  }

  /* One marker per shape, around (x, y). */
  function trace(path, shape, x, y, r) {
    if (shape === "square") path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else if (shape === "triangle") {
      path.moveTo(x, y - r * 1.2); path.lineTo(x + r * 1.1, y + r * 0.8); path.lineTo(x - r * 1.1, y + r * 0.8); path.closePath();
    } else if (shape === "diamond") {
      path.moveTo(x, y - r * 1.3); path.lineTo(x + r * 1.3, y); path.lineTo(x, y + r * 1.3); path.lineTo(x - r * 1.3, y); path.closePath();
    } else if (shape === "cross") {
      path.moveTo(x - r, y - r); path.lineTo(x + r, y + r); path.moveTo(x + r, y - r); path.lineTo(x - r, y + r);
    } else if (shape === "bar") {
      path.moveTo(x, y - r * 1.3); path.lineTo(x, y + r * 1.3);
    } else {
      path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI);
    }
  }
  const open = function (shape) { return shape === "cross" || shape === "bar"; };

  function markerPaths(shape, small) {
    return function (u, index, first, last) {
      const path = new Path2D();
      for (let i = first; i <= last; i += 1) {
        const value = u.data[index][i];
        if (value === null || value === undefined) continue;
        trace(path, shape, u.valToPos(u.data[0][i], "x", true), u.valToPos(value, "y", true), (small ? 2.2 : 3.2) * devicePixelRatio);
      }
      return { stroke: path, fill: path };
    };
  }

  function make(figure) {
    const plot = figure.querySelector("[data-plot]");
    const live = figure.querySelector("[data-plot-live]");
    const table = figure.querySelector("[data-plot-table]");
    const small = figure.classList.contains("small");
    const tip = el("div", { class: "tip", hidden: true });
    const legend = el("div", { class: "legend", role: "group", "aria-label": "Lines; press one to hide or show it" });
    const off = new Set();
    let given = null;
    let spec = null;
    let chart = null;
    let cursor = -1;

    const axis = function (extra) {
      const font = (small ? "11px " : "12px ") + window.getComputedStyle(plot).fontFamily;
      const rule = colourOf(figure, "", "--rule");
      return Object.assign({ stroke: colourOf(figure, "", "--soft"), font, labelFont: font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 } }, extra);
    };

    /* -------------------------------------------------------------- curves */
    function series() {
      const list = [{}];
      const bands = [];
      spec.lines.forEach(function (line) {
        const colour = colourOf(figure, "s" + line.look[0]);
        const at = list.length;
        list.push({
          label: line.label, stroke: colour, width: small ? 1.5 : 2, dash: line.look[1], spanGaps: true,
          points: { show: true, stroke: colour, fill: open(line.look[2]) ? undefined : colour, width: open(line.look[2]) ? 2 : 0.5, paths: markerPaths(line.look[2], small) },
        });
        const quiet = { width: 0, stroke: "transparent", points: { show: false }, spanGaps: true };
        list.push(Object.assign({}, quiet), Object.assign({}, quiet));
        bands.push({ series: [at + 2, at + 1], fill: faded(colour, 0.13) });
      });
      return { list, bands };
    }

    function columns() {
      const none = spec.xs.map(function () { return null; });
      const fits = function (values) { return (values || none).map(function (v) { return v === null || v === undefined || (spec.logY && v <= 0) ? null : v; }); };
      return [spec.xs].concat(spec.lines.flatMap(function (line) { return [fits(line.value), fits(line.low), fits(line.high)]; }));
    }

    function drawMarks(u) {
      const context = u.ctx;
      const scale = devicePixelRatio;
      context.save();
      context.lineWidth = 1.5 * scale;
      spec.lines.forEach(function (line) {
        const colour = colourOf(figure, "s" + line.look[0]);
        context.strokeStyle = colour;
        context.fillStyle = faded(colour, 0.55);
        (line.points || []).forEach(function (values) {
          values.forEach(function (value, i) {
            if (value === null || value === undefined || (spec.logY && value <= 0)) return;
            const dot = new Path2D();
            trace(dot, "circle", u.valToPos(spec.xs[i], "x", true), u.valToPos(value, "y", true), 1.7 * scale);
            context.fill(dot);
          });
        });
        (line.mark ? [line.mark] : line.rings || []).forEach(function (mark) {
          if (spec.logX && mark[0] <= 0) return;
          context.beginPath();
          context.arc(u.valToPos(mark[0], "x", true), u.valToPos(mark[1], "y", true), (small ? 5 : 7.5) * scale, 0, 2 * Math.PI);
          context.stroke();
        });
        if (line.ended && !(spec.logX && line.ended[0] <= 0) && !(spec.logY && line.ended[1] <= 0)) {
          const path = new Path2D();
          trace(path, "cross", u.valToPos(line.ended[0], "x", true), u.valToPos(line.ended[1], "y", true), (small ? 4 : 6) * scale);
          context.stroke(path);
        }
      });
      context.restore();
    }

    function drawRules(u) {
      const context = u.ctx;
      const scale = devicePixelRatio;
      context.save();
      context.strokeStyle = context.fillStyle = colourOf(figure, "", "--soft");
      context.font = 11 * scale + "px " + window.getComputedStyle(plot).fontFamily;
      context.textBaseline = "middle";
      context.textAlign = "left";
      context.lineWidth = scale;
      (spec.rules || []).forEach(function (rule) {
        const y = Math.round(u.valToPos(rule.y, "y", true)) + 0.5;
        context.setLineDash([2 * scale, 4 * scale]);
        context.beginPath();
        context.moveTo(u.bbox.left, y);
        context.lineTo(u.bbox.left + u.bbox.width, y);
        context.stroke();
        context.fillText(rule.label, u.bbox.left + u.bbox.width + 5 * scale, y);
      });
      context.restore();
    }

    function readings(index) {
      return spec.lines.map(function (line) {
        const value = line.value[index];
        if (value === null || value === undefined) return null;
        const range = line.low && line.low[index] !== null && line.low[index] !== undefined
          ? text(spec, line.low[index]) + "–" + text(spec, line.high[index]) : "";
        return { line, value, text: text(spec, value), range };
      }).filter(Boolean).sort(function (a, b) { return b.value - a.value; });
    }

    const nameOf = function (x) { return spec.xName ? spec.xName(x) : P.thousands(x); };
    const place = function (x) {
      if (spec.xName) return spec.xName(x);
      if (spec.xWord) return spec.xWord + " " + x;
      return x === 0 ? "before editing" : "after " + P.thousands(x) + " edits";
    };

    function put(left, top) {
      const beyond = left + tip.offsetWidth + 18 > plot.clientWidth;
      tip.style.left = Math.max(0, beyond ? left - tip.offsetWidth - 14 : left + 14) + "px";
      tip.style.top = top + "px";
    }

    function showTip(u) {
      cursor = u.cursor.left < 0 || u.cursor.idx === null || u.cursor.idx === undefined ? -1 : u.cursor.idx;
      if (cursor < 0) { tip.hidden = true; return; }
      const list = readings(cursor);
      tip.replaceChildren(el("table", {}, el("caption", {}, place(spec.xs[cursor])), list.slice(0, 12).map(function (item) {
        return el("tr", {}, el("th", { scope: "row" }, P.swatch(item.line.look), " " + item.line.label), el("td", {}, item.text), el("td", { class: "span" }, item.range));
      })));
      tip.hidden = list.length === 0;
      put(u.valToPos(spec.xs[cursor], "x") + u.over.offsetLeft, u.over.offsetTop + 6);
    }

    function xSplits(u) {
      const room = Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / (spec.xName ? 84 : small ? 40 : 46)));
      if (!spec.logX) {
        const step = Math.ceil(spec.xs.length / room);
        return spec.xs.filter(function (_, i) { return (spec.xs.length - 1 - i) % step === 0; });
      }
      let last = -Infinity;
      return spec.xs.filter(function (x) {
        const at = u.valToPos(x, "x");
        if (at - last < 40) return false;
        last = at;
        return true;
      });
    }

    function yRange(u, low, high) {
      if (spec.logY) return [low === null ? 1 : low * 0.8, high === null ? 10 : high * 1.25];
      if (spec.percent) return [low < 0 ? low - 4 : 0, high > 104 ? high + 2 : 104]; // abilities can fall below chance
      const nearZero = low === null || (low >= 0 && low < 0.5 * high);
      const pad = ((high || 1) - (nearZero ? 0 : low)) * 0.12 || 1;
      return [nearZero ? 0 : low - pad, (high || 1) + pad];
    }

    function curveOptions() {
      const made = series();
      const first = spec.xs[0];
      const last = spec.xs[spec.xs.length - 1];
      const reach = last - first || 1;
      const room = spec.xName ? (small ? 18 : 36) : small ? 14 : (spec.rules || []).length ? 38 : 8;
      return {
        width: plot.clientWidth, height: plot.clientHeight, series: made.list, bands: made.bands,
        axes: [
          axis({ label: small ? undefined : spec.xLabel || "edits", labelSize: 18, size: small ? 24 : 34, grid: { show: false }, splits: xSplits, values: function (_, list) { return list.map(spec.xName && small ? function (x) { return nameOf(x).slice(-5); } : nameOf); } }),
          axis({ size: spec.percent ? (small ? 32 : 42) : 58,
            splits: spec.percent && !spec.logY ? function (u) { return PERCENTS.filter(function (v) { return v >= u.scales.y.min && v <= u.scales.y.max && (!small || v % 50 === 0 || v === 100 || v === 0); }).filter(function (v) { return !small || [0, 100].includes(v) || v === 50; }); } : undefined,
            values: function (_, list, _axis, _space, step) { return list.map(function (v) { return v === null ? null : spec.percent ? v : spec.logY ? P.significant(v) : tick(v, step); }); } }),
        ],
        scales: {
          x: spec.logX ? { time: false, distr: 3, range: function () { return [first * 0.92, last * 1.08]; } } : { time: false, range: function () { return [first - reach * 0.012, last + reach * 0.02]; } },
          y: spec.logY ? { distr: 3, range: yRange } : { range: yRange },
        },
        padding: [10, room, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false }, sync: spec.sync ? { key: spec.sync, setSeries: false } : undefined },
        hooks: { drawAxes: [drawRules], draw: [drawMarks], setCursor: [showTip] },
      };
    }

    /* -------------------------------------------------------------- scatter */
    const radius = function (mark) { return 4 + 9 * Math.sqrt(mark.size); };
    function nearest(u, x, y) {
      let best = null;
      let least = 24 * 24;
      spec.marks.forEach(function (mark) {
        const d = (u.valToPos(mark.x, "x") - x) ** 2 + (u.valToPos(mark.y, "y") - y) ** 2;
        if (d < least) { least = d; best = mark; }
      });
      return best;
    }

    function showMark(u, mark) {
      tip.hidden = !mark;
      if (!mark) return;
      const rows = [[spec.yLabel, P.fixed(mark.y)], [spec.xLabel, P.fixed(mark.x)]].concat(mark.note ? [mark.note] : []);
      tip.replaceChildren(el("table", {}, el("caption", {}, P.swatch(mark.look), " " + mark.label), rows.map(function (row) {
        return el("tr", {}, el("th", { scope: "row" }, row[0]), el("td", {}, row[1]));
      })));
      put(u.valToPos(mark.x, "x") + u.over.offsetLeft, Math.max(0, u.valToPos(mark.y, "y") + u.over.offsetTop - 20));
    }

    function drawScatter(u) {
      const context = u.ctx;
      const scale = devicePixelRatio;
      const at = function (point) { return [u.valToPos(point[0], "x", true), u.valToPos(point[1], "y", true)]; };
      context.save();
      context.strokeStyle = colourOf(figure, "", "--rule-strong");
      context.lineWidth = scale;
      context.setLineDash([5 * scale, 4 * scale]);
      context.beginPath();
      spec.front.forEach(function (point, i) { const [x, y] = at(point); if (i) context.lineTo(x, y); else context.moveTo(x, y); });
      context.stroke();
      context.setLineDash([]);
      spec.marks.forEach(function (mark) {
        const colour = colourOf(figure, "s" + mark.look[0]);
        const [x, y] = at([mark.x, mark.y]);
        context.strokeStyle = colour;
        context.lineWidth = 1.25 * scale;
        context.beginPath();
        context.arc(x, y, radius(mark) * scale, 0, 2 * Math.PI);
        if (mark.filled) { context.fillStyle = faded(colour, 0.22); context.fill(); }
        context.stroke();
        const path = new Path2D();
        trace(path, mark.look[2], x, y, 3 * scale);
        context.fillStyle = colour;
        if (!open(mark.look[2])) context.fill(path);
        context.stroke(path);
      });
      label(u, context, scale);
      context.restore();
    }

    /* Names of filled marks, where they do not run into each other. */
    function label(u, context, scale) {
      const taken = [];
      context.font = 12 * scale + "px " + window.getComputedStyle(plot).fontFamily;
      context.textBaseline = "middle";
      context.textAlign = "left";
      context.fillStyle = colourOf(figure, "", "--ink");
      spec.marks.filter(function (mark) { return mark.filled; }).forEach(function (mark) {
        const width = context.measureText(mark.label).width;
        const right = u.valToPos(mark.x, "x", true) + (radius(mark) + 5) * scale;
        const x = right + width > u.bbox.left + u.bbox.width ? u.valToPos(mark.x, "x", true) - (radius(mark) + 5) * scale - width : right;
        const y = u.valToPos(mark.y, "y", true);
        if (taken.some(function (box) { return Math.abs(box[1] - y) < 14 * scale && x < box[2] && x + width > box[0]; })) return;
        taken.push([x, y, x + width]);
        context.fillText(mark.label, x, y);
      });
    }

    function bounds(values) {
      const low = Math.min.apply(null, values);
      const high = Math.max.apply(null, values);
      const pad = Math.max(2, (high - low) * 0.14);
      return [low < 0 ? low - pad : Math.max(-2, low - pad), high + pad];
    }

    function scatterOptions() {
      const xs = bounds(spec.marks.map(function (mark) { return mark.x; }));
      const ys = bounds(spec.marks.map(function (mark) { return mark.y; }));
      const values = function (_, list, _axis, _space, step) { return list.map(function (v) { return v < -2 || v >= 0 ? tick(v, step) : ""; }); };
      return {
        width: plot.clientWidth, height: plot.clientHeight, series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
        axes: [axis({ label: spec.xLabel, labelSize: 18, size: 34, values }), axis({ label: spec.yLabel, labelSize: 18, size: 40, values })],
        scales: { x: { time: false, range: function () { return xs; } }, y: { range: function () { return ys; } } },
        padding: [12, 16, 0, 0], legend: { show: false },
        cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [drawScatter], setCursor: [function (u) { showMark(u, u.cursor.left < 0 ? null : nearest(u, u.cursor.left, u.cursor.top)); }] },
      };
    }

    /* -------------------------------------------------------------- both */
    function fillTable() {
      if (!table) return;
      const head = spec.scatter ? [spec.yLabel, spec.xLabel].concat(spec.marks.length && spec.marks[0].note ? [spec.marks[0].note[0]] : []) : spec.xs.map(nameOf);
      const rows = spec.scatter
        ? spec.marks.map(function (mark) { return [mark, [P.fixed(mark.y), P.fixed(mark.x)].concat(mark.note ? [mark.note[1]] : []).map(function (one) { return [one]; })]; })
        : spec.lines.map(function (line) {
          return [line, spec.xs.map(function (_, i) {
            const range = line.low && line.low[i] !== null && line.low[i] !== undefined ? text(spec, line.low[i]) + "–" + text(spec, line.high[i]) : "";
            return [text(spec, line.value[i]), range];
          })];
        });
      table.replaceChildren(el("table", { class: "matrix" }, el("caption", {}, spec.title),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, spec.lineWord || "Line"), head.map(function (one) { return el("th", { scope: "col", class: "num" }, one); }))),
        el("tbody", {}, rows.map(function (row) {
          return el("tr", {}, el("th", { scope: "row" }, P.swatch(row[0].look), " " + row[0].label), row[1].map(function (cell) {
            return el("td", { class: "num" }, el("span", { class: "value" }, cell[0]), cell[1] ? el("span", { class: "span" }, cell[1]) : null);
          }));
        }))));
    }

    function draw() {
      if (chart) chart.destroy();
      chart = null;
      const empty = spec.scatter ? !spec.marks.length : !spec.xs.length || !spec.lines.length;
      plot.classList.toggle("is-empty", empty);
      plot.dataset.empty = empty ? spec.empty || "Nothing to draw." : "";
      tip.hidden = true;
      if (empty || !plot.clientWidth) return;
      chart = spec.scatter ? new window.uPlot(scatterOptions(), [[0, 1], [null, null]], plot) : new window.uPlot(curveOptions(), columns(), plot);
      plot.appendChild(tip);
      if (!spec.scatter && cursor >= 0 && cursor < spec.xs.length && document.activeElement === plot) chart.setCursor({ left: chart.valToPos(spec.xs[cursor], "x"), top: 10 });
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
      given = spec = next;
      fillLegend();
      if (off.size && !spec.scatter) spec = Object.assign({}, spec, { lines: spec.lines.filter(function (line) { return !off.has(line.key); }) });
      if (spec.logX && !spec.scatter) spec = withoutZero(spec);
      fillTable();
      return P.load("static/vendor/uPlot.iife.min.js").then(draw);
    }

    function step(event) {
      const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (!chart) return;
      if (event.key === "Escape") { chart.setCursor({ left: -10, top: -10 }); cursor = -1; tip.hidden = true; return; }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const end = (spec.scatter ? spec.marks : spec.xs).length - 1;
      const from = cursor < 0 ? (event.key === "ArrowLeft" ? end + 1 : -1) : cursor;
      const index = Math.min(end, Math.max(0, from + moves[event.key]));
      if (spec.scatter) {
        cursor = index;
        const mark = spec.marks[index];
        showMark(chart, mark);
        live.textContent = mark.label + ": " + spec.yLabel + " " + P.fixed(mark.y) + ", " + spec.xLabel + " " + P.fixed(mark.x);
        return;
      }
      chart.setCursor({ left: chart.valToPos(spec.xs[index], "x"), top: 10 });
      live.textContent = place(spec.xs[index]).replace(/^a/, "A").replace(/\u202f/g, "") + ": " + readings(index).map(function (item) { return item.line.label + " " + item.text; }).join(", ");
    }

    plot.addEventListener("keydown", step);
    plot.addEventListener("blur", function () { if (chart) chart.setCursor({ left: -10, top: -10 }); cursor = -1; tip.hidden = true; });
    new ResizeObserver(function () {
      if (!spec || plot.clientWidth === 0 || !window.uPlot) return;
      if (chart) chart.setSize({ width: plot.clientWidth, height: plot.clientHeight });
      else draw();
    }).observe(plot);
    figure.querySelectorAll("[data-save]").forEach(function (button) {
      button.addEventListener("click", function () {
        P.load("static/save.js").then(function () { P.save(button.dataset.save, spec, figure, chart, { colourOf, trace, open, radius }); });
      });
    });
    const made = { show, redraw: function () { if (spec && window.uPlot) draw(); } };
    all.push(made);
    return made;
  }

  /* A logarithmic axis has no place for 0 edits. */
  function withoutZero(spec) {
    const keep = spec.xs.map(function (x) { return x > 0; });
    const cut = function (values) { return values ? values.filter(function (_, i) { return keep[i]; }) : values; };
    return Object.assign({}, spec, {
      xs: cut(spec.xs),
      lines: spec.lines.map(function (line) {
        return Object.assign({}, line, { value: cut(line.value), low: cut(line.low), high: cut(line.high), points: (line.points || []).map(cut) });
      }),
    });
  }

  /* The last point of a curve before a collapse; where other seeds go on, the first one after it. */
  function endOf(curve) {
    if (!curve[4] || !curve[4].length) return undefined;
    let place = curve[0].indexOf(curve[4][0]);
    while (place >= 0 && curve[1][place] === null) place -= 1;
    return place < 0 ? undefined : [curve[0][place], curve[1][place]];
  }

  /* Curves of the data files, [edits, values, lows, highs, collapsed before, points], brought onto common xs. */
  function align(curves) {
    const xs = Array.from(new Set(curves.flatMap(function (curve) { return curve ? curve[0] : []; }))).sort(function (a, b) { return a - b; });
    const spread = function (curve, values) {
      if (!values || !values.length) return undefined;
      const at = new Map(curve[0].map(function (x, i) { return [x, values[i]]; }));
      return xs.map(function (x) { return at.has(x) ? at.get(x) : null; });
    };
    return {
      xs,
      lines: curves.map(function (curve) {
        if (!curve) return { value: xs.map(function () { return null; }) };
        return { value: spread(curve, curve[1]), low: spread(curve, curve[2]), high: spread(curve, curve[3]), ended: endOf(curve), points: (curve[5] || []).map(function (values) { return spread(curve, values); }) };
      }),
    };
  }

  /* The value of a curve at any number of edits, straight between its points. */
  function valueAt(curve, edits) {
    for (let i = 1; i < curve[0].length; i += 1) {
      const [x0, x1, y0, y1] = [curve[0][i - 1], curve[0][i], curve[1][i - 1], curve[1][i]];
      if (y0 !== null && y1 !== null && x0 <= edits && edits <= x1) return y0 + (y1 - y0) * (edits - x0) / (x1 - x0);
    }
    return null;
  }

  const redrawAll = function () { all.forEach(function (one) { one.redraw(); }); };
  document.addEventListener("palimpsest:theme", redrawAll);
  Object.assign(P, { figure: make, align, valueAt });
})();
