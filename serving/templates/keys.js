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
// The slider's number box takes 0 to 1. What lies outside becomes the nearer end; with an emptied box, or half a number, the
// last number counts, which returns when the box is left. In the capture phase, before the box itself: no listener, and
// no request, ever sees anything else.
const numberBox = (event) => event.target instanceof Element && event.target.closest("#wish input[type=number]");
let lastNumber = null;
document.addEventListener("focusin", (event) => {
  if (numberBox(event) && event.target.value !== "") lastNumber = event.target.value;
}, true);
document.addEventListener("input", (event) => {
  if (!numberBox(event)) return;
  const value = event.target.valueAsNumber;
  if (Number.isNaN(value)) return event.stopImmediatePropagation();
  if (value < 0 || value > 1) event.target.value = value < 0 ? "0" : "1";
  lastNumber = event.target.value;
}, true);
const restore = (event) => {
  if (numberBox(event) && event.target.value === "") event.target.value = lastNumber ?? "0.5";
};
document.addEventListener("change", restore, true);
document.addEventListener("blur", restore, true);
// What is said to readers of screens must be in a live region before its first text arrives.
new MutationObserver((_, observer) => {
  const regions = ["spoken", "answer"].map((name) => document.getElementById(name));
  if (regions.includes(null)) return;
  regions.forEach((region) => region.setAttribute("aria-live", "polite"));
  observer.disconnect();
}).observe(document.documentElement, { childList: true, subtree: true });
