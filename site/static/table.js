/* Sorting and filtering of tables, and the switch between the two forms of a score.

   The table is complete without this script. Markup contract:
     <table data-sortable data-form="argmax">      form: which of two sort values counts in cells that have two
     <th data-sort="number|text" data-first="descending">Label</th>
     <td data-value="12.5">  or  <td data-value-argmax="12" data-value-preference="30">
     <input data-filter="table id">,  <select data-sort-select="table id">,  <p data-live="table id" aria-live>
     <input type="radio" name="form" value="preference">
   Only textContent is ever written. */
(function () {
  "use strict";

  function sortValue(cell, form, kind) {
    const suffix = form.charAt(0).toUpperCase() + form.slice(1);
    const raw = cell.dataset["value" + suffix] ?? cell.dataset.value ?? cell.textContent.trim();
    if (kind === "text") return raw.toLocaleLowerCase("en");
    const number = raw === "" ? NaN : Number(raw);
    return Number.isNaN(number) ? null : number;
  }

  /* Missing values stay at the end in both directions. */
  function compare(a, b, sign) {
    if (a === b) return 0;
    if (a === null || a === "") return 1;
    if (b === null || b === "") return -1;
    return (a < b ? -1 : 1) * sign;
  }

  function upgrade(table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const headers = Array.from(table.tHead.querySelectorAll("th[data-sort]"));
    const live = document.querySelector('[data-live="' + table.id + '"]');
    const select = document.querySelector('[data-sort-select="' + table.id + '"]');
    const filter = document.querySelector('[data-filter="' + table.id + '"]');
    let sorted = null;

    const label = function (header) { return header.dataset.label || header.textContent.trim(); };
    const say = function (text) { if (live) live.textContent = text; };

    function sortBy(header, direction) {
      const column = Number(header.dataset.column);
      const kind = header.dataset.sort;
      const sign = direction === "ascending" ? 1 : -1;
      const keyed = rows.map(function (row, index) {
        return { row, index, key: sortValue(row.cells[column], table.dataset.form || "", kind) };
      });
      keyed.sort(function (a, b) { return compare(a.key, b.key, sign) || a.index - b.index; });
      keyed.forEach(function (item) { body.appendChild(item.row); });
      headers.forEach(function (other) { other.removeAttribute("aria-sort"); });
      header.setAttribute("aria-sort", direction);
      sorted = { header, direction };
      if (select) select.value = header.dataset.column + " " + direction;
      say("Sorted by " + label(header) + ", " + direction + ".");
    }

    function fillSelect() {
      headers.forEach(function (header) {
        const first = header.dataset.first || "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        [first, other].forEach(function (direction) {
          const option = document.createElement("option");
          option.value = header.dataset.column + " " + direction;
          option.textContent = label(header) + (direction === "ascending" ? " ↑" : " ↓");
          select.appendChild(option);
        });
      });
      select.addEventListener("change", function () {
        const parts = select.value.split(" ");
        const header = headers.find(function (item) { return item.dataset.column === parts[0]; });
        if (header) sortBy(header, parts[1]);
      });
    }

    headers.forEach(function (header) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      while (header.firstChild) button.appendChild(header.firstChild);
      header.appendChild(button);
      button.addEventListener("click", function () {
        const first = header.dataset.first || "ascending";
        const now = header.getAttribute("aria-sort");
        sortBy(header, !now ? first : now === "ascending" ? "descending" : "ascending");
      });
    });
    if (select) fillSelect();
    const initial = headers.find(function (header) { return header.hasAttribute("aria-sort"); });
    if (initial) {
      sorted = { header: initial, direction: initial.getAttribute("aria-sort") };
      if (select) select.value = initial.dataset.column + " " + sorted.direction;
    }

    function applyFilter() {
      const words = filter.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach(function (row) {
        const text = (row.dataset.search || row.textContent).toLocaleLowerCase("en");
        const fits = words.every(function (word) { return text.includes(word); });
        row.hidden = !fits;
        if (fits) shown += 1;
      });
      table.classList.toggle("is-empty", shown === 0);
      say(words.length ? shown + " of " + rows.length + " rows shown." : "All " + rows.length + " rows shown.");
    }
    if (filter) {
      filter.addEventListener("input", applyFilter);
      filter.addEventListener("keydown", function (event) {
        if (event.key === "Escape") { filter.value = ""; applyFilter(); }
      });
      if (filter.value) applyFilter();
    }

    document.addEventListener("palimpsest:form", function (event) {
      table.dataset.form = event.detail;
      if (sorted) sortBy(sorted.header, sorted.direction);
    });
  }

  /* Which cells show is decided by the stylesheet (:has(:checked)), so the switch works without this script too. */
  function wireForms() {
    const radios = Array.from(document.querySelectorAll('input[name="form"]'));
    const tell = function () {
      const chosen = radios.find(function (radio) { return radio.checked; });
      if (chosen) document.dispatchEvent(new CustomEvent("palimpsest:form", { detail: chosen.value }));
    };
    radios.forEach(function (radio) { radio.addEventListener("change", tell); });
    if (radios.length && !radios[0].checked) tell();
  }

  /* Only while a wide table can be scrolled is it a stop for the keyboard. */
  function watchScroll(box) {
    const check = function () {
      const wide = box.scrollWidth > box.clientWidth + 1;
      if (wide) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      box.classList.toggle("is-scrolled", box.scrollLeft > 2);
      box.classList.toggle("has-more", wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    };
    box.addEventListener("scroll", check, { passive: true });
    new ResizeObserver(check).observe(box);
    check();
  }

  function wireCopy(button) {
    const source = document.getElementById(button.dataset.copy);
    button.addEventListener("click", function () {
      const done = function () { button.textContent = "Copied"; };
      const mark = function () {
        const range = document.createRange();
        range.selectNodeContents(source);
        const selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        button.textContent = "Selected";
      };
      if (navigator.clipboard) navigator.clipboard.writeText(source.textContent).then(done, mark);
      else mark();
    });
  }

  document.querySelectorAll("table[data-sortable]").forEach(upgrade);
  document.querySelectorAll(".scroll").forEach(watchScroll);
  document.querySelectorAll("button[data-copy]").forEach(wireCopy);
  wireForms();
})();
