"use strict";
// What if: the sliders ask the server, which decides again and sends back a piece of the page.
const form = document.querySelector("[data-what-if]");
if (form) {
  const change = document.getElementById("change"), inputs = [...form.querySelectorAll("input")];
  let timer, asking;
  const tell = (input) => { input.nextElementSibling.value = Number(input.value).toFixed(2); };
  async function show() {
    asking?.abort();
    asking = new AbortController();
    try {
      const query = new URLSearchParams(new FormData(form));
      const answer = await fetch(`${form.dataset.whatIf}?${query}`, { signal: asking.signal });
      if (!answer.ok) throw new Error(`The server says ${answer.status}.`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      change.replaceChildren(...fresh.childNodes);
    } catch (error) {
      if (error.name !== "AbortError") change.textContent = `That could not be decided again: ${error.message}`;
    }
  }
  form.addEventListener("input", (event) => {
    tell(event.target);
    clearTimeout(timer);
    timer = setTimeout(show, 60);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
  form.querySelector("[data-reset]").addEventListener("click", () => {
    for (const input of inputs) { input.value = input.dataset.usual; tell(input); }
    show();
  });
}
