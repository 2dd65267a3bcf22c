/* Curves with bands, markers and hover values, as figures.js asks for them; the fields of a spec are described there. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const { colourOf, faded, tick, trace, open } = P.plotParts;
  const PERCENTS = [-40, -20, 0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200];

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

  /* The plot of one spec in a frame: its options and data for uPlot, its table, and what the arrow keys go along. */
  function curves(spec, frame) {
    const { figure, plot, tip, small } = frame;

    const text = function (value) { return spec.percent ? P.fixed(value) : P.significant(value); };
    const range = function (line, index) {
      return line.low && line.low[index] !== null && line.low[index] !== undefined ? text(line.low[index]) + "–" + text(line.high[index]) : "";
    };

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
        return { line, value, text: text(value), range: range(line, index) };
      }).filter(Boolean).sort(function (a, b) { return b.value - a.value; });
    }

    const nameOf = function (x) { return spec.xName ? spec.xName(x) : P.thousands(x); };
    const place = function (x) {
      if (spec.xName) return spec.xName(x);
      if (spec.xWord) return spec.xWord + " " + x;
      return x === 0 ? "before editing" : "after " + P.thousands(x) + " edits";
    };

    function showTip(u) {
      frame.cursor = u.cursor.left < 0 || u.cursor.idx === null || u.cursor.idx === undefined ? -1 : u.cursor.idx;
      if (frame.cursor < 0) { tip.hidden = true; return; }
      const list = readings(frame.cursor);
      tip.replaceChildren(el("table", {}, el("caption", {}, place(spec.xs[frame.cursor])), list.slice(0, 12).map(function (item) {
        return el("tr", {}, el("th", { scope: "row" }, P.swatch(item.line.look), " " + item.line.label), el("td", {}, item.text), el("td", { class: "span" }, item.range));
      })));
      tip.hidden = list.length === 0;
      frame.put(u.valToPos(spec.xs[frame.cursor], "x") + u.over.offsetLeft, u.over.offsetTop + 6);
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

    function options() {
      const made = series();
      const first = spec.xs[0];
      const last = spec.xs[spec.xs.length - 1];
      const reach = last - first || 1;
      const room = spec.xName ? (small ? 18 : 36) : small ? 14 : (spec.rules || []).length ? 38 : 8;
      return {
        width: plot.clientWidth, height: plot.clientHeight, series: made.list, bands: made.bands,
        axes: [
          frame.axis({ label: small ? undefined : spec.xLabel || "edits", labelSize: 18, size: small ? 24 : 34, grid: { show: false }, splits: xSplits, values: function (_, list) { return list.map(spec.xName && small ? function (x) { return nameOf(x).slice(-5); } : nameOf); } }),
          frame.axis({ size: spec.percent ? (small ? 32 : 42) : 58,
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

    const at = function (chart, index) { return { left: chart.valToPos(spec.xs[index], "x"), top: 10 }; };
    return {
      spec,
      isEmpty: !spec.xs.length || !spec.lines.length,
      count: spec.xs.length,
      options,
      columns,
      /* Stand at a place again after a redraw. */
      again(chart, index) { if (index < spec.xs.length) chart.setCursor(at(chart, index)); },
      /* Go to a place, and say what is there. */
      go(chart, index) {
        chart.setCursor(at(chart, index));
        const said = readings(index).map(function (item) { return item.line.label + " " + item.text; }).join(", ");
        return place(spec.xs[index]).replace(/^a/, "A").replace(/\u202f/g, "") + ": " + said;
      },
      head() { return spec.xs.map(nameOf); },
      rows() {
        return spec.lines.map(function (line) { return [line, spec.xs.map(function (_, i) { return [text(line.value[i]), range(line, i)]; })]; });
      },
    };
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

  P.plots.curves = function (spec, frame) { return curves(spec.logX ? withoutZero(spec) : spec, frame); };
  Object.assign(P, { align, valueAt });
})();
