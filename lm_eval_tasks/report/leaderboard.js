// A click on a column's head sorts by it; numbers from the highest, a second click turns the order round.
for (const table of document.querySelectorAll(".board")) {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th");
    const column = [...head.parentElement.children].indexOf(head);
    const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    const key = (row) => {
      const value = row.cells[column].dataset.value ?? "";
      return value === "" ? null : Number.isNaN(Number(value)) ? value : Number(value);
    };
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === null || b === null) return (a === null) - (b === null); // what is not known comes last
      const order = a < b ? -1 : a > b ? 1 : 0;
      return direction === "ascending" ? order : -order;
    });
    for (const each of head.parentElement.children) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    table.tBodies[0].append(...rows);
  });
}
