/* A scatter plot with named circles and a front, as figures.js asks for it; the fields of a spec are described there. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const el = P.el;
  const { colourOf, faded, tick, trace, open } = P.plotParts;

  const radius = function (mark) { return 4 + 9 * Math.sqrt(mark.size); };

  /* The plot of one spec in a frame: its options and data for uPlot, its table, and what the arrow keys go along. */
  function scatter(spec, frame) {
    const { figure, plot, tip } = frame;

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
      frame.put(u.valToPos(mark.x, "x") + u.over.offsetLeft, Math.max(0, u.valToPos(mark.y, "y") + u.over.offsetTop - 20));
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

    function options() {
      const xs = bounds(spec.marks.map(function (mark) { return mark.x; }));
      const ys = bounds(spec.marks.map(function (mark) { return mark.y; }));
      const values = function (_, list, _axis, _space, step) { return list.map(function (v) { return v < -2 || v >= 0 ? tick(v, step) : ""; }); };
      return {
        width: plot.clientWidth, height: plot.clientHeight, series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
        axes: [frame.axis({ label: spec.xLabel, labelSize: 18, size: 34, values }), frame.axis({ label: spec.yLabel, labelSize: 18, size: 40, values })],
        scales: { x: { time: false, range: function () { return xs; } }, y: { range: function () { return ys; } } },
        padding: [12, 16, 0, 0], legend: { show: false },
        cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [drawScatter], setCursor: [function (u) { showMark(u, u.cursor.left < 0 ? null : nearest(u, u.cursor.left, u.cursor.top)); }] },
      };
    }

    return {
      spec,
      isEmpty: !spec.marks.length,
      count: spec.marks.length,
      options,
      columns() { return [[0, 1], [null, null]]; },
      again() {},
      go(chart, index) {
        const mark = spec.marks[index];
        frame.cursor = index;
        showMark(chart, mark);
        return mark.label + ": " + spec.yLabel + " " + P.fixed(mark.y) + ", " + spec.xLabel + " " + P.fixed(mark.x);
      },
      head() { return [spec.yLabel, spec.xLabel].concat(spec.marks.length && spec.marks[0].note ? [spec.marks[0].note[0]] : []); },
      rows() {
        return spec.marks.map(function (mark) {
          return [mark, [P.fixed(mark.y), P.fixed(mark.x)].concat(mark.note ? [mark.note[1]] : []).map(function (one) { return [one]; })];
        });
      },
    };
  }

  P.plots.scatter = scatter;
  P.plotParts.radius = radius;
})();
