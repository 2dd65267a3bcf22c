/* Curves with uPlot: bands, markers, legend, hover and keyboard read-out, table alternative that follows the view.

   Data: <script type="application/json" id="page-data"> {"charts": {name: payload}} (see charts.py).
   Each line brings three series: value, low, high; the band lies between the last two. Colours come from the
   stylesheet's classes s0…s7, so that light, dark and print need nothing here but a redraw. */
(function () {
  "use strict";
  const holder = document.getElementById("page-data");
  if (!holder || typeof uPlot === "undefined") return;
  const payloads = JSON.parse(holder.textContent).charts;
  const drawn = [];
  const DIM = 0.13;
  const PERCENTS = [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200];

  function colourOf(element, className, property) {
    const probe = document.createElement("span");
    if (className) probe.className = className;
    if (property) probe.style.color = "var(" + property + ")";
    element.appendChild(probe);
    const colour = window.getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  function faded(colour, alpha) {
    const parts = colour.match(/[\d.]+/g).slice(0, 3);
    return "rgba(" + parts.join(",") + "," + alpha + ")";
  }

  const thousands = function (value) { return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f"); };

  function format(value, percent) {
    if (value === null || value === undefined) return "–";
    if (percent) return value.toFixed(1).replace("-", "−");
    return String(Number(value.toPrecision(4))).replace("-", "−");
  }

  /* One marker per shape, around (x, y), in device pixels. */
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

  function markerPaths(shape) {
    return function (u, seriesIndex, first, last) {
      const path = new Path2D();
      const r = 3.2 * devicePixelRatio;
      for (let i = first; i <= last; i += 1) {
        const value = u.data[seriesIndex][i];
        if (value === null || value === undefined) continue;
        trace(path, shape, u.valToPos(u.data[0][i], "x", true), u.valToPos(value, "y", true), r);
      }
      return { stroke: path, fill: path };
    };
  }

  function columns(payload, view) {
    const none = payload.xs.map(function () { return null; });
    const data = [payload.xs];
    payload.lines.forEach(function (line) {
      const found = view.lines[line.key] || [none];
      data.push(found[0], found[1] || none, found[2] || none);
    });
    return data;
  }

  function build(figure, payload) {
    const plot = figure.querySelector("[data-plot]");
    const live = figure.querySelector("[data-plot-live]");
    const table = figure.querySelector("[data-plot-table]");
    const select = document.querySelector('[data-chart-view="' + figure.dataset.chart + '"]');
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const hidden = new Set();
    /* Room on the right for the labels of reference lines, in whichever view has them. */
    const room = payload.views.some(function (item) { return item.rules.length > 0; }) ? 36 : 8;
    let view = payload.views[0];
    let chart = null;
    let cursor = -1;

    const visible = function () {
      return payload.lines.filter(function (line) { return !hidden.has(line.key); });
    };

    function makeSeries() {
      const series = [{}];
      const bands = [];
      payload.lines.forEach(function (line, i) {
        const colour = colourOf(figure, "s" + line.colour);
        const open = line.marker === "cross" || line.marker === "bar";
        const show = !hidden.has(line.key);
        series.push({
          label: line.label, stroke: colour, width: 2, dash: line.dash, spanGaps: true, show,
          points: { show: true, stroke: colour, fill: open ? undefined : colour, width: open ? 2 : 0.5, paths: markerPaths(line.marker) },
        });
        const quiet = { width: 0, stroke: "transparent", points: { show: false }, show, spanGaps: true };
        series.push(Object.assign({ label: line.label + " low" }, quiet), Object.assign({ label: line.label + " high" }, quiet));
        bands.push({ series: [3 * i + 3, 3 * i + 2], fill: faded(colour, DIM) });
      });
      return { series, bands };
    }

    function drawMarks(u) {
      const context = u.ctx;
      const scale = devicePixelRatio;
      context.save();
      context.lineWidth = 1.5 * scale;
      visible().forEach(function (line) {
        context.strokeStyle = colourOf(figure, "s" + line.colour);
        const mark = view.marks[line.key];
        if (mark) {
          context.beginPath();
          context.arc(u.valToPos(mark[0], "x", true), u.valToPos(mark[1], "y", true), 7.5 * scale, 0, 2 * Math.PI);
          context.stroke();
        }
        (view.failed[line.key] || []).forEach(function (edits) {
          const path = new Path2D();
          trace(path, "cross", u.valToPos(edits, "x", true), u.valToPos(0, "y", true), 6 * scale);
          context.stroke(path);
        });
      });
      context.restore();
    }

    function drawRules(u) {
      const context = u.ctx;
      const scale = devicePixelRatio;
      context.save();
      context.strokeStyle = context.fillStyle = colourOf(figure, "", "--soft");
      context.font = 11 * scale + "px " + window.getComputedStyle(plot).fontFamily;
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.lineWidth = scale;
      view.rules.forEach(function (rule) {
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

    function row(parts, tag) {
      const tr = document.createElement("tr");
      parts.forEach(function (part, i) {
        const cell = document.createElement(i === 0 ? "th" : tag || "td");
        if (i === 0) cell.scope = "row";
        if (part instanceof Node) cell.appendChild(part);
        else cell.textContent = part;
        tr.appendChild(cell);
      });
      return tr;
    }

    function readings(index) {
      return visible().map(function (line) {
        const found = view.lines[line.key];
        if (!found || found[0][index] === null) return null;
        const range = found[1] && found[1][index] !== null
          ? format(found[1][index], payload.percent) + "–" + format(found[2][index], payload.percent) : "";
        return { line, value: found[0][index], text: format(found[0][index], payload.percent), range };
      }).filter(Boolean).sort(function (a, b) { return b.value - a.value; });
    }

    function showTip(u, index) {
      if (index === null || index === undefined || index < 0) { tip.hidden = true; return; }
      const list = readings(index);
      tip.replaceChildren();
      const box = document.createElement("table");
      const caption = document.createElement("caption");
      caption.textContent = payload.xs[index] === 0 ? "before editing" : "after " + thousands(payload.xs[index]) + " edits";
      box.appendChild(caption);
      list.forEach(function (item) {
        const name = document.createElement("span");
        const source = figure.ownerDocument.querySelector('[data-line="' + CSS.escape(item.line.key) + '"] .swatch');
        if (source) name.appendChild(source.cloneNode(true));
        name.appendChild(document.createTextNode(" " + item.line.label));
        const tr = row([name, item.text, item.range]);
        tr.cells[2].className = "span";
        box.appendChild(tr);
      });
      tip.appendChild(box);
      tip.hidden = list.length === 0;
      const left = u.valToPos(payload.xs[index], "x") + u.over.offsetLeft;
      const beyond = left + tip.offsetWidth + 18 > plot.clientWidth;
      tip.style.left = Math.max(0, beyond ? left - tip.offsetWidth - 14 : left + 14) + "px";
      tip.style.top = u.over.offsetTop + 6 + "px";
    }

    function axes() {
      const soft = colourOf(figure, "", "--soft");
      const rule = colourOf(figure, "", "--rule");
      const font = "12px " + window.getComputedStyle(plot).fontFamily;
      const base = { stroke: soft, font, labelFont: font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 5 } };
      const ended = payload.xs;
      return [
        Object.assign({}, base, {
          label: "edits", labelSize: 18, size: 34, grid: { show: false },
          splits: function (u) {
            const room = Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / 46));
            const step = Math.ceil(ended.length / room);
            return ended.filter(function (_, i) { return (ended.length - 1 - i) % step === 0; });
          },
          values: function (_, splits) { return splits.map(thousands); },
        }),
        Object.assign({}, base, {
          size: payload.percent ? 42 : 56,
          splits: payload.percent ? function (u) { return PERCENTS.filter(function (v) { return v <= u.scales.y.max; }); } : undefined,
          values: function (_, splits) { return splits.map(function (v) { return payload.percent ? v : format(v, false); }); },
        }),
      ];
    }

    function yRange(u, low, high) {
      if (payload.percent) return [0, high > 104 ? high + 2 : 104];
      const nearZero = low === null || low < 0.5 * high;
      const pad = ((high || 1) - (nearZero ? 0 : low)) * 0.12 || 1;
      return [nearZero ? 0 : low - pad, (high || 1) + pad];
    }

    function draw() {
      if (chart) chart.destroy();
      const made = makeSeries();
      const last = payload.xs[payload.xs.length - 1];
      const reach = last - payload.xs[0] || 1;
      chart = new uPlot({
        width: plot.clientWidth, height: plot.clientHeight, series: made.series, bands: made.bands, axes: axes(),
        scales: {
          x: { time: false, range: function () { return [payload.xs[0] - reach * 0.012, last + reach * 0.02]; } },
          y: { range: yRange },
        },
        padding: [10, room, 0, 0],
        legend: { show: false },
        cursor: {
          y: false, drag: { x: false, y: false },
          points: { show: false },
          sync: payload.sync ? { key: payload.sync, setSeries: false } : undefined,
        },
        hooks: {
          drawAxes: [drawRules], draw: [drawMarks],
          setCursor: [function (u) { cursor = u.cursor.left < 0 ? -1 : u.cursor.idx; showTip(u, cursor); }],
        },
      }, columns(payload, view), plot);
      plot.appendChild(tip);
    }

    function follow() {
      const body = table.tBodies[0];
      table.caption.textContent = view.title;
      payload.lines.forEach(function (line, i) {
        const found = view.lines[line.key];
        payload.xs.forEach(function (_, j) {
          const cell = body.rows[i].cells[j + 1];
          cell.replaceChildren();
          const value = document.createElement("span");
          value.className = "value";
          value.textContent = format(found ? found[0][j] : null, payload.percent);
          cell.appendChild(value);
          if (!found || !found[1] || found[1][j] === null) return;
          const range = document.createElement("span");
          range.className = "span";
          range.textContent = format(found[1][j], payload.percent) + "–" + format(found[2][j], payload.percent);
          cell.appendChild(range);
        });
      });
    }

    function choose(key) {
      const next = payload.views.find(function (item) { return item.key === key; });
      if (!next) return;
      view = next;
      if (select) select.value = key;
      draw();
      follow();
    }

    /* Views named component|form|window change their form with the page's switch. */
    function chooseForm(form) {
      const parts = view.key.split("|");
      if (parts.length === 3 && parts[1] !== form) choose([parts[0], form, parts[2]].join("|"));
      if (!select) return;
      Array.from(select.options).forEach(function (option) {
        const named = option.value.split("|");
        option.hidden = option.disabled = named.length === 3 && named[1] !== form;
      });
    }

    function step(event) {
      const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") { chart.setCursor({ left: -10, top: -10 }); return; }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const end = payload.xs.length - 1;
      const from = cursor === null || cursor < 0 ? (event.key === "ArrowLeft" ? end + 1 : -1) : cursor;
      const index = Math.min(end, Math.max(0, from + moves[event.key]));
      chart.setCursor({ left: chart.valToPos(payload.xs[index], "x"), top: 10 });
      live.textContent = "After " + payload.xs[index] + " edits: " + readings(index).map(function (item) {
        return item.line.label + " " + item.text;
      }).join(", ");
    }

    draw();
    if (select) {
      select.value = view.key;
      select.addEventListener("change", function () { choose(select.value); });
    }
    plot.addEventListener("keydown", step);
    plot.addEventListener("blur", function () { chart.setCursor({ left: -10, top: -10 }); });
    new ResizeObserver(function () {
      if (chart && plot.clientWidth > 0) chart.setSize({ width: plot.clientWidth, height: plot.clientHeight });
    }).observe(plot);
    return { payload, draw, chooseForm, toggle: function (key, on) { if (on) hidden.delete(key); else hidden.add(key); draw(); } };
  }

  document.querySelectorAll("figure[data-chart]").forEach(function (figure) {
    const payload = payloads[figure.dataset.chart];
    if (payload) drawn.push({ name: figure.dataset.chart, chart: build(figure, payload) });
  });

  document.querySelectorAll("[data-legend]").forEach(function (legend) {
    const target = legend.dataset.legend;
    legend.addEventListener("click", function (event) {
      const button = event.target.closest("button[data-line]");
      if (!button) return;
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      drawn.forEach(function (item) {
        if (item.name === target || item.chart.payload.sync === target) item.chart.toggle(button.dataset.line, on);
      });
    });
  });

  const forms = Array.from(document.querySelectorAll('input[name="form"]'));
  const chosen = forms.find(function (radio) { return radio.checked; });
  if (chosen) drawn.forEach(function (item) { item.chart.chooseForm(chosen.value); });
  document.addEventListener("palimpsest:form", function (event) {
    drawn.forEach(function (item) { item.chart.chooseForm(event.detail); });
  });
  document.addEventListener("palimpsest:theme", function () { drawn.forEach(function (item) { item.chart.draw(); }); });
})();
