// Enter and Ctrl-Enter send the question, Shift-Enter begins a new line. In the capture phase, before the text box itself.
const onKey = (event) => {
  const inPrompt = event.target instanceof Element && event.target.closest("#prompt textarea");
  if (!inPrompt || event.key !== "Enter" || event.isComposing) return;
  event.stopPropagation();
  if (event.shiftKey) return;
  event.preventDefault();
  if (event.type === "keydown" && !event.repeat) document.getElementById("send")?.click();
};
document.addEventListener("keydown", onKey, true);
document.addEventListener("keypress", onKey, true);
// The line for screen readers must be a live region before its first text arrives.
new MutationObserver((_, observer) => {
  const line = document.getElementById("spoken");
  if (line === null) return;
  line.setAttribute("aria-live", "polite");
  observer.disconnect();
}).observe(document.documentElement, { childList: true, subtree: true });
