// The shop's own consent banner. It remembers the answer, and tells it to firsthand on every page.

const KEY = "shop.consent";
const CHOICES = {
  analytics: ["Statistics", "How the shop is used, so that we can make it better."],
  personalization: ["Recommendations", "Products that go with what you looked at."],
  marketing: ["Advertising", "Our own advertisements on other sites."],
};

const answer = () => JSON.parse(localStorage.getItem(KEY) || "null");

const settle = (categories) => {
  localStorage.setItem(KEY, JSON.stringify(categories));
  firsthand.consent({ categories });
  document.querySelector(".consent")?.remove();
};

const all = (value) => Object.fromEntries(Object.keys(CHOICES).map((name) => [name, value]));

/** Shows the banner. */
export const ask = () => {
  document.querySelector(".consent")?.remove();
  const now = answer() || all(false);
  const box = document.createElement("section");
  box.className = "consent";
  box.setAttribute("role", "dialog");
  box.setAttribute("aria-label", "Your privacy");
  box.innerHTML = `
    <h2>Your data, your call</h2>
    <p>We measure with a server of our own, and hand nothing to anybody before you agree. You can change your mind at
      the bottom of every page.</p>
    <form hidden>${Object.entries(CHOICES)
      .map(
        ([name, [title, words]]) => `<label><input type="checkbox" name="${name}" ${now[name] ? "checked" : ""} />
          <span><b>${title}</b><br />${words}</span></label>`,
      )
      .join("")}</form>
    <div class="row">
      <button data-answer="all">Accept all</button>
      <button data-answer="none">Only what is necessary</button>
      <button data-answer="choose" class="quiet">Choose</button>
    </div>`;
  box.addEventListener("click", ({ target }) => {
    const form = box.querySelector("form");
    const said = target.dataset.answer;
    if (said === "all" || said === "none") settle(all(said === "all"));
    if (said === "choose" && form.hidden) {
      form.hidden = false;
      target.textContent = "Save my choice";
    } else if (said === "choose") {
      settle(Object.fromEntries([...form.elements].map((input) => [input.name, input.checked])));
    }
  });
  document.body.append(box);
};

/** Tells what was answered before, or asks. */
export const consent = () => {
  const known = answer();
  if (known) firsthand.consent({ categories: known });
  else ask();
};
