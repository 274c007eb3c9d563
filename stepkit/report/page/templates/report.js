document.querySelectorAll("table[data-sort]").forEach(table => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent.trim().replace(/ %$/, "");
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const turn = head.ariaSort === "descending" ? 1 : -1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.ariaSort = turn < 0 ? "descending" : "ascending";
      [...body.rows].sort((a, b) => {
        const x = key(a, i), y = key(b, i);
        return turn * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
      }).forEach(row => body.append(row));
    };
  });
});
document.querySelectorAll("[data-filter]").forEach(input => {
  input.parentElement.hidden = false;
  const rows = document.querySelectorAll(`#${input.dataset.filter} tbody tr`);
  input.oninput = () => rows.forEach(row => {
    row.hidden = !row.textContent.toLowerCase().includes(input.value.toLowerCase());
  });
});
document.querySelectorAll("[data-copy]").forEach(button => {
  button.hidden = false;
  button.onclick = async () => {
    const text = document.getElementById(button.dataset.copy), label = button.textContent;
    try { await navigator.clipboard.writeText(text.textContent); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(text); button.textContent = "Selected: press Ctrl+C"; }
    setTimeout(() => { button.textContent = label; }, 2000);
  };
});
document.querySelectorAll("time").forEach(time => { time.title = new Date(time.dateTime).toLocaleString(); });
