// Keyboard: `/` and `?` anywhere, `j` and `k` with focus in a table; everything also by Tab, and it can be switched off.
const help = document.getElementById("help");
const on = document.getElementById("keys-on");
on.checked = localStorage.getItem("keys") !== "off";
on.addEventListener("change", () => localStorage.setItem("keys", on.checked ? "on" : "off"));

function typing(target) {
  return target.closest("input, select, textarea, [contenteditable]") || help.open;
}

function step(target, by) {
  const row = target.closest("tbody tr[data-row]");
  const rows = row ? [...row.closest("tbody").querySelectorAll(":scope > tr[data-row]")] : [];
  rows[rows.indexOf(row) + by]?.querySelector("a, summary")?.focus();
  return Boolean(row);
}

document.addEventListener("keydown", (event) => {
  if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "/") document.getElementById("find").focus();
  else if (event.key === "?") help.showModal();
  else if (event.key === "j" && step(event.target, 1)) { /* moved */ }
  else if (event.key === "k" && step(event.target, -1)) { /* moved */ }
  else return;
  event.preventDefault();
});
