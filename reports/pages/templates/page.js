"use strict";
// Sorting and filtering. Without this script every row is there, in the report's order.
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const plain = (text) => text.normalize("NFKC").replaceAll("\u2212", "-").toLowerCase();
  const make = (tag, name, ...children) => {
    const element = document.createElement(tag);
    element.className = name;
    element.append(...children);
    return element;
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    return { value: cell.dataset.sort === undefined ? null : Number(cell.dataset.sort), text: cell.textContent.trim() };
  };

  // Figures by value, before texts; a numeric column's cell without a value stays last either way.
  const comparison = (numeric, sign) => (a, b) => {
    if (a.value !== null && b.value !== null) return a.value === b.value ? 0 : sign * (a.value < b.value ? -1 : 1);
    if (a.value !== null || b.value !== null) return (numeric ? 1 : sign) * (a.value === null ? 1 : -1);
    return numeric ? 0 : sign * collator.compare(a.text, b.text);
  };

  for (const block of document.querySelectorAll(".table")) {
    const body = block.querySelector("tbody");
    const rows = [...body.rows].filter((row) => !row.classList.contains("empty"));
    if (rows.length < 2) continue;
    const headings = [...block.querySelectorAll("thead th")];
    const names = headings.map((heading) => heading.textContent.trim());
    const status = block.querySelector(".status");
    const input = block.querySelector("input");
    const texts = new Map(rows.map((row) => [row, plain([...row.cells].map((cell) => cell.textContent.trim()).join(" "))]));
    let order = "";

    const announce = () => {
      const shown = rows.filter((row) => !row.hidden).length;
      status.textContent = (shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`) + order;
    };

    const sort = (column) => {
      const heading = headings[column];
      const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort") ?? "none"];
      for (const other of headings) {
        other.removeAttribute("aria-sort");
        other.querySelector(".arrow").textContent = "\u2195";
      }
      let sorted = rows;
      if (next === "none") {
        order = ", in the report\u2019s order";
      } else {
        const compare = comparison(heading.classList.contains("numeric"), next === "ascending" ? 1 : -1);
        const keys = new Map(rows.map((row) => [row, key(row, column)]));
        sorted = [...rows].sort((a, b) => compare(keys.get(a), keys.get(b)));
        heading.setAttribute("aria-sort", next);
        heading.querySelector(".arrow").textContent = next === "ascending" ? "\u2191" : "\u2193";
        order = `, sorted by ${names[column].slice(0, 100)}, ${next}`;
      }
      body.append(...sorted);
      announce();
    };

    headings.forEach((heading, column) => {
      const arrow = make("span", "arrow", "\u2195");
      arrow.setAttribute("aria-hidden", "true");
      const button = make("button", "sort", make("span", "", ...[...heading.childNodes].filter((one) => one.className !== "term")), arrow);
      button.type = "button";
      button.addEventListener("click", () => sort(column));
      heading.prepend(button);
    });

    input.addEventListener("input", () => {
      const words = plain(input.value).split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every((word) => texts.get(row).includes(word));
      announce();
    });
    block.querySelector(".filter").hidden = false;
  }

  // What is folded up is printed whole.
  addEventListener("beforeprint", () => document.querySelectorAll("details.long").forEach((one) => { one.open = true; }));

  // A frame that has nothing to scroll is no stop for the keyboard.
  const frames = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const frame = target.closest(".scroll, .plate");
      if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
      else frame.removeAttribute("tabindex");
    }
  });
  for (const frame of document.querySelectorAll(".scroll, .plate")) {
    frames.observe(frame);
    for (const child of frame.children) frames.observe(child);
  }
})();
