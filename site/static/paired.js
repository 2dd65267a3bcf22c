/* Two columns of the comparison, case by case and item by item.

   palimpsest.paired is {columnCases, paired, pairedAbilities, valueAt}. A column is {runs}, each with its courses of cases
   and items as they are stored; for the score, a harmonic mean, the cases enter by its derivatives. */
(function () {
  "use strict";
  const { mean, variance, harmonic, slopes, difference } = window.palimpsest.differences;
  const SHARES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const PARTS = ["efficacy", "paraphrase", "neighborhood"];

  function share(code, form, part) {
    if (code === "x") return 0;
    if (form === "token_accuracy") return 100 * SHARES.indexOf(code) / 60;
    const bits = parseInt(code, 16);
    const bit = form === "argmax" ? (part === "neighborhood" ? 2 : 1) : (part === "neighborhood" ? 8 : 4);
    return bits & bit ? 100 : 0;
  }

  /* Position → [efficacy, paraphrase, neighborhood] of one run at one checkpoint, NaN where there is no such probe. */
  function caseValues(run, at, form) {
    const place = run.scored.indexOf(at);
    const found = new Map();
    if (place < 0) return found;
    run.courses.forEach(function (course, position) {
      const block = course.split(" ")[place];
      if (!block || block[0] === "~") return;
      found.set(position, block.split(".").map(function (codes, i) {
        return codes ? mean(Array.from(codes, function (code) { return share(code, form, PARTS[i]); })) : NaN;
      }));
    });
    return found;
  }

  /* The same of a column, each case's values averaged over its runs. */
  function columnCases(column, at, form) {
    const runs = column.runs.map(function (run) { return caseValues(run, at, form); });
    const joint = new Map();
    if (runs.length) runs[0].forEach(function (_, position) {
      const all = runs.map(function (run) { return run.get(position); });
      if (all.every(Boolean)) joint.set(position, PARTS.map(function (_, i) { return mean(all.map(function (one) { return one[i]; })); }));
    });
    return joint;
  }

  /* Differences of the shares and of the score between the cases of two columns; values are those of their runs. */
  function paired(one, other, values) {
    const rows = [];
    one.forEach(function (mine, position) { if (other.has(position)) rows.push([mine, other.get(position)]); });
    const kept = function (i) { return rows.filter(function (row) { return !Number.isNaN(row[0][i]) && !Number.isNaN(row[1][i]); }); };
    const result = {};
    const means = [0, 1].map(function (side) { return PARTS.map(function (_, i) { return kept(i).length ? mean(kept(i).map(function (row) { return row[side][i]; })) : NaN; }); });
    PARTS.forEach(function (part, i) {
      const use = kept(i);
      if (use.length < 2) return;
      const deltas = use.map(function (row) { return row[1][i] - row[0][i]; });
      result[part] = difference(mean(deltas), variance(deltas) / deltas.length, values[0][part], values[1][part]);
    });
    const whole = rows.filter(function (row) { return row.every(function (side) { return side.every(function (v) { return !Number.isNaN(v); }); }); });
    if (whole.length > 1) {
      const [a, b] = means.map(slopes);
      const deltas = whole.map(function (row) { return PARTS.reduce(function (sum, _, i) { return sum + b[i] * row[1][i] - a[i] * row[0][i]; }, 0); });
      result.score = difference(harmonic(means[1]) - harmonic(means[0]), variance(deltas) / deltas.length, values[0].score, values[1].score);
    }
    return result;
  }

  /* The share of abilities kept, a ratio of sums over the tasks that count, paired by item; the pristine scores that it is
     relative to are taken as known. */
  function pairedAbilities(one, other, at) {
    const items = function (run, name, edits) { return run.items.find(function (item) { return item[0] === name && item[2] === edits; }); };
    const right = function (course) {
      return course[0] === "~" ? Array.from(course.slice(1), function (code) { return SHARES.indexOf(code) / 60; }) : Array.from(course, Number);
    };
    const tasks = Array.from(new Set(one.runs[0].items.map(function (item) { return item[0]; })))
      .map(function (name) { return items(one.runs[0], name, 0); })
      .filter(function (start) { return start && countsAsAbility(mean(right(start[3])), start[1] / 100, right(start[3]).length); });
    const above = tasks.reduce(function (sum, start) { return sum + (mean(right(start[3])) - start[1] / 100) / (1 - start[1] / 100); }, 0);
    let sum = 0;
    let spread = 0;
    for (const start of tasks) {
      const sides = [one, other].map(function (column) { return column.runs.map(function (run) { return items(run, start[0], at); }); });
      if (sides.flat().some(function (now) { return !now || now[3].length !== start[3].length; })) return null;
      const [mine, yours] = sides.map(function (runs) { return runs.map(function (now) { return right(now[3]); }); });
      const weight = 100 / (1 - start[1] / 100) / above;
      const deltas = right(start[3]).map(function (_, i) {
        const at = function (run) { return run[i]; };
        return weight * (mean(yours.map(at)) - mean(mine.map(at)));
      });
      sum += mean(deltas);
      spread += variance(deltas) / deltas.length;
    }
    if (!tasks.length) return null;
    const seeds = [one, other].map(function (column) { return column.runs.map(function (run) { return valueAt(run, "abilities_kept|", at); }).filter(function (v) { return v !== null; }); });
    return difference(sum, spread, seeds[0], seeds[1]);
  }

  /* A task counts if the pristine model is three standard errors above chance, as in the store. */
  function countsAsAbility(pristine, chance, items) {
    const widest = Math.max(pristine * (1 - pristine), chance * (1 - chance));
    return pristine > chance && pristine - chance >= 3 * Math.sqrt(widest / items);
  }

  /* One number of a run's curve; null where it has none. */
  function valueAt(run, key, edits) {
    const curve = run.curves[key];
    const place = curve ? curve[0].indexOf(edits) : -1;
    return place < 0 ? null : curve[1][place];
  }

  window.palimpsest.paired = { columnCases, paired, pairedAbilities, valueAt };
})();
