(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const stored = (() => { try { return localStorage.getItem("metagap-theme"); } catch { return null; } })();
  if (stored) root.dataset.theme = stored;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("metagap-theme", root.dataset.theme); } catch { /* a page opened without storage */ }
  });
  // A table that is wider than its place can be scrolled by keyboard, and says so.
  const measure = (scroll) => {
    const heads = [...scroll.querySelectorAll("thead tr:last-child th")], edge = scroll.getBoundingClientRect().right;
    const beyond = scroll.scrollWidth > scroll.clientWidth + 1;
    const hidden = heads.filter((head) => head.getBoundingClientRect().right + scroll.scrollLeft > edge + 1).length;
    scroll.toggleAttribute("tabindex", beyond);
    if (beyond) scroll.tabIndex = 0;
    const hint = scroll.parentElement.querySelector(".hint");
    hint.hidden = !beyond;
    hint.textContent = `${hidden} more column${hidden === 1 ? "" : "s"}: scroll sideways →`;
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => measure(entry.target)));
  document.querySelectorAll(".scroll").forEach((scroll) => watch.observe(scroll));
})();
