/* A figure as a file: PNG from its canvas, SVG drawn again from its numbers. Loaded when it is asked for. */
(function () {
  "use strict";
  const P = window.palimpsest;
  const NS = "http://www.w3.org/2000/svg";
  const WIDTH = 760;
  const HEIGHT = 430;
  const BOX = { left: 62, top: 44, right: 730, bottom: 360 };

  /* Path2D's few methods, writing the d of an SVG path instead. */
  function pen() {
    const parts = [];
    const n = function (value) { return String(Math.round(value * 100) / 100); };
    return {
      moveTo: function (x, y) { parts.push("M" + n(x) + " " + n(y)); },
      lineTo: function (x, y) { parts.push("L" + n(x) + " " + n(y)); },
      rect: function (x, y, w, h) { parts.push("M" + n(x) + " " + n(y) + "h" + n(w) + "v" + n(h) + "h" + n(-w) + "z"); },
      arc: function (x, y, r) { parts.push("M" + n(x + r) + " " + n(y) + "a" + n(r) + " " + n(r) + " 0 1 1 " + n(-2 * r) + " 0a" + n(r) + " " + n(r) + " 0 1 1 " + n(2 * r) + " 0z"); },
      closePath: function () { parts.push("z"); },
      text: function () { return parts.join(""); },
    };
  }

  function add(parent, tag, attributes, content) {
    const node = document.createElementNS(NS, tag);
    Object.entries(attributes).forEach(function ([key, value]) { if (value !== null && value !== undefined) node.setAttribute(key, String(value)); });
    if (content !== undefined) node.textContent = content;
    parent.appendChild(node);
    return node;
  }

  const scale = function (low, high, from, to, log) {
    const f = log ? Math.log : function (v) { return v; };
    return function (value) { return from + (f(value) - f(low)) / (f(high) - f(low) || 1) * (to - from); };
  };

  function axes(svg, spec, chart, x, y, colours) {
    chart.axes[1]._splits.forEach(function (value, i) {
      const label = chart.axes[1]._values[i];
      if (value === null || y(value) < BOX.top - 1 || y(value) > BOX.bottom + 1 || label === null || label === undefined) return;
      add(svg, "path", { d: "M" + BOX.left + " " + y(value) + "H" + BOX.right, stroke: colours.rule });
      add(svg, "text", { x: BOX.left - 8, y: y(value) + 4, "text-anchor": "end", fill: colours.soft }, label);
    });
    chart.axes[0]._splits.forEach(function (value, i) {
      if (value === null || x(value) < BOX.left - 1 || x(value) > BOX.right + 1) return;
      add(svg, "path", { d: "M" + x(value) + " " + BOX.bottom + "v5", stroke: colours.rule });
      add(svg, "text", { x: x(value), y: BOX.bottom + 18, "text-anchor": "middle", fill: colours.soft }, chart.axes[0]._values[i]);
    });
    add(svg, "text", { x: (BOX.left + BOX.right) / 2, y: BOX.bottom + 36, "text-anchor": "middle", fill: colours.soft }, spec.xLabel || "edits");
    if (spec.scatter) add(svg, "text", { x: BOX.left, y: BOX.top - 6, fill: colours.soft }, spec.yLabel);
  }

  function curves(svg, spec, x, y, tools) {
    spec.lines.forEach(function (line) {
      const known = spec.xs.map(function (edits, i) { return [edits, line.value[i], line.low && line.low[i], line.high && line.high[i]]; })
        .filter(function (point) { return point[1] !== null && point[1] !== undefined && !(spec.logY && point[1] <= 0); });
      const colour = tools.colour(line.look[0]);
      const banded = known.filter(function (point) { return point[2] !== null && point[2] !== undefined; });
      if (banded.length) {
        const ring = banded.map(function (p) { return x(p[0]) + "," + y(p[2]); }).concat(banded.slice().reverse().map(function (p) { return x(p[0]) + "," + y(p[3]); }));
        add(svg, "polygon", { points: ring.join(" "), fill: colour, "fill-opacity": 0.13 });
      }
      add(svg, "polyline", { points: known.map(function (p) { return x(p[0]) + "," + y(p[1]); }).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": line.look[1].length ? line.look[1].join(" ") : null });
      const path = pen();
      known.forEach(function (p) { tools.trace(path, line.look[2], x(p[0]), y(p[1]), 3.2); });
      add(svg, "path", { d: path.text(), fill: tools.open(line.look[2]) ? "none" : colour, stroke: colour });
    });
  }

  function marks(svg, spec, x, y, tools, colours) {
    add(svg, "polyline", { points: spec.front.map(function (p) { return x(p[0]) + "," + y(p[1]); }).join(" "), fill: "none", stroke: colours.soft, "stroke-dasharray": "5 4" });
    spec.marks.forEach(function (mark) {
      const colour = tools.colour(mark.look[0]);
      add(svg, "circle", { cx: x(mark.x), cy: y(mark.y), r: tools.radius(mark), fill: colour, "fill-opacity": mark.filled ? 0.2 : 0, stroke: colour });
      if (mark.filled) add(svg, "text", { x: x(mark.x) + tools.radius(mark) + 4, y: y(mark.y) + 4, fill: colours.ink }, mark.label);
    });
  }

  function legend(svg, spec, tools, colours) {
    let left = BOX.left;
    let top = BOX.bottom + 58;
    spec.lines.forEach(function (line) {
      const width = 46 + 6.6 * line.label.length;
      if (left + width > BOX.right) { left = BOX.left; top += 18; }
      add(svg, "path", { d: "M" + left + " " + (top - 4) + "h26", stroke: tools.colour(line.look[0]), "stroke-width": 2, "stroke-dasharray": line.look[1].length ? line.look[1].join(" ") : null });
      add(svg, "text", { x: left + 32, y: top, fill: colours.ink }, line.label);
      left += width;
    });
    return top + 14;
  }

  function svgText(spec, figure, chart, tools) {
    const colours = {};
    ["ink", "soft", "rule", "paper"].forEach(function (name) { colours[name] = tools.colourOf(figure, "", "--" + name); });
    const helpers = Object.assign({ colour: function (index) { return tools.colourOf(figure, "s" + index); } }, tools);
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("xmlns", NS);
    svg.setAttribute("font-family", "system-ui, sans-serif");
    svg.setAttribute("font-size", "12");
    const ground = add(svg, "rect", { width: WIDTH, height: HEIGHT, fill: colours.paper });
    add(svg, "text", { x: BOX.left, y: 22, fill: colours.ink, "font-size": 15, "font-weight": 600 }, spec.title);
    const x = scale(chart.scales.x.min, chart.scales.x.max, BOX.left, BOX.right, spec.logX && !spec.scatter);
    const y = scale(chart.scales.y.min, chart.scales.y.max, BOX.bottom, BOX.top, spec.logY && !spec.scatter);
    axes(svg, spec, chart, x, y, colours);
    let height = HEIGHT;
    if (spec.scatter) marks(svg, spec, x, y, helpers, colours);
    else { curves(svg, spec, x, y, helpers); height = Math.max(HEIGHT, legend(svg, spec, helpers, colours)); }
    ground.setAttribute("height", String(height));
    svg.setAttribute("viewBox", "0 0 " + WIDTH + " " + height);
    svg.setAttribute("width", String(WIDTH));
    svg.setAttribute("height", String(height));
    return new XMLSerializer().serializeToString(svg);
  }

  function png(chart, figure, tools, name) {
    const source = chart.ctx.canvas;
    const copy = document.createElement("canvas");
    copy.width = source.width;
    copy.height = source.height;
    const context = copy.getContext("2d");
    context.fillStyle = tools.colourOf(figure, "", "--paper");
    context.fillRect(0, 0, copy.width, copy.height);
    context.drawImage(source, 0, 0);
    copy.toBlob(function (blob) { P.offer(name + ".png", "image/png", blob); }, "image/png");
  }

  P.save = function (kind, spec, figure, chart, tools) {
    if (!chart) return;
    const name = "palimpsest-" + (spec.name || figure.id || "figure");
    if (kind === "svg") P.offer(name + ".svg", "image/svg+xml", svgText(spec, figure, chart, tools));
    else png(chart, figure, tools, name);
  };
})();
