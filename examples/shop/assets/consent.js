// The shop's own consent banner. It remembers the answer, and tells it to firsthand on every page.

const KEY = "shop.consent";
const CHOICES = {
  analytics: ["Statistics", "How the shop is used, so that we can make it better."],
  personalization: ["Recommendations", "Products that go with what you looked at."],
  marketing: ["Advertising", "Our own advertisements on other sites."],
};

const answer = () => JSON.parse(localStorage.getItem(KEY) || "null");

/** Whether the visitor agreed to something that an address is needed for. Before they did, firsthand is told none. */
export const mayBeNamed = () => Boolean(answer()?.personalization || answer()?.marketing);

const all = (value) => Object.fromEntries(Object.keys(CHOICES).map((name) => [name, value]));

/** Shows the banner: to somebody new, or to somebody who changes their mind, who can also leave it as it is. `settled` is
 *  told when there is an answer. */
export const ask = (settled, opener) => {
  document.querySelector(".consent")?.remove();
  const known = answer();
  const box = document.createElement("section");
  box.className = "consent";
  box.tabIndex = -1;
  box.setAttribute("role", "dialog");
  box.setAttribute("aria-labelledby", "consent-title");
  box.innerHTML = `
    <h2 id="consent-title">Your data, your call</h2>
    <p>We measure with a server of our own, and hand nothing to anybody before you agree. You can change your mind at
      the bottom of every page.</p>
    <form ${known ? "" : "hidden"}>${Object.entries(CHOICES)
      .map(
        ([name, [title, words]]) => `<label><input type="checkbox" name="${name}" ${known?.[name] ? "checked" : ""} />
          <span><b>${title}</b><br />${words}</span></label>`,
      )
      .join("")}</form>
    <div class="row">
      <button data-answer="all">Accept all</button>
      <button data-answer="none">Only what is necessary</button>
      <button data-answer="choose" class="quiet">${known ? "Save my choice" : "Choose"}</button>
    </div>
    ${known ? '<button class="close" data-answer="keep" aria-label="Leave it as it is">×</button>' : ""}`;

  const close = () => {
    box.remove();
    opener?.focus();
  };
  const settle = (categories) => {
    localStorage.setItem(KEY, JSON.stringify(categories));
    firsthand.consent({ categories });
    close();
    settled();
  };
  box.addEventListener("click", ({ target }) => {
    const form = box.querySelector("form");
    const said = target.dataset.answer;
    if (said === "all" || said === "none") settle(all(said === "all"));
    if (said === "keep") close();
    if (said === "choose" && form.hidden) {
      form.hidden = false;
      target.textContent = "Save my choice";
      form.elements[0].focus();
    } else if (said === "choose") {
      settle(Object.fromEntries([...form.elements].map((input) => [input.name, input.checked])));
    }
  });
  box.addEventListener("keydown", ({ key }) => key === "Escape" && known && close());
  box.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  // First in the page: the next Tab goes to its buttons, and not past all of the shop.
  document.body.prepend(box);
  box.focus({ preventScroll: true });
};

/** Tells what was answered before, or asks. */
export const consent = (settled) => {
  const known = answer();
  if (known) firsthand.consent({ categories: known });
  else ask(settled);
};
