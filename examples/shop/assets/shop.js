// The pages. Each draws itself and tells firsthand what happens on it; page views are told by firsthand.js itself.

import { landscape, picture } from "./art.js";
import * as shop from "./basket.js";
import { CATEGORIES, PRODUCTS, find, money, round, search, similar } from "./catalogue.js";
import { ask, consent, mayBeNamed } from "./consent.js";

const MODULE = "GetSimilarItems";
const main = document.querySelector("main");
const query = new URLSearchParams(location.search);

/** Text that is safe in HTML. */
const text = (value) => `${value ?? ""}`.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt()};`);

// -- parts of pages --------------------------------------------------------------------------------------------------

const price = ({ price, was }) => `<span class="price">${money(price)}${was ? ` <s>${money(was)}</s>` : ""}</span>`;

const card = (product, module = "") => `
  <article class="card">
    <a href="/product.html?id=${product.id}" data-product="${product.id}" data-module="${module}">
      <div class="picture">${picture(product)}</div>
      <small>${product.brand}</small>
      <h3>${product.name}</h3>
      ${price(product)}
    </a>
  </article>`;

const options = (numbers, chosen) => numbers.map((n) => `<option ${n === chosen ? "selected" : ""}>${n}</option>`).join("");

/** 1 to 10, and as many as there are already. */
const quantities = (now = 1) => Array.from({ length: Math.max(10, now) }, (_, index) => index + 1);

const grid = (products, module) => `<div class="grid">${products.map((one) => card(one, module)).join("")}</div>`;

const recommendations = (title, products) => `<section class="module"><h2>${title}</h2>${grid(products, MODULE)}</section>`;

/** What the delivery costs, and all of it. */
const delivered = () => {
  const cost = shop.delivery();
  const words = cost ? `${money(cost)}<small>free from ${round(shop.FREE_FROM)}</small>` : "free";
  return `<p>Delivery <span>${words}</span></p><p class="total">Total <span>${money(shop.ordered().total)}</span></p>`;
};

const frame = () => {
  const user = shop.user();
  const current = query.get("category");
  const links = Object.entries(CATEGORIES).map(
    ([id, { name }]) => `<a href="/list.html?category=${id}" ${id === current ? 'aria-current="page"' : ""}>${name}</a>`,
  );
  document.querySelector("header").innerHTML = `
    <p class="notice">Free delivery from ${round(shop.FREE_FROM)} · 60 days to change your mind</p>
    <div class="bar">
      <a class="logo" href="/">Northway <i>Outfitters</i></a>
      <form action="/search.html" role="search">
        <input name="q" type="search" placeholder="Search for boots, tents, socks …" aria-label="Search" value="${text(query.get("q"))}" />
      </form>
      <div class="links">
        <a href="/account.html">${user ? text(user.email.split("@")[0]) : "Sign in"}</a>
        <a href="/cart.html">Basket <b class="count">${shop.count()}</b></a>
      </div>
    </div>
    <nav>${links.join("")}</nav>`;
  document.querySelector("footer").innerHTML = `
    <div><b>Northway Outfitters</b><br />A sample shop. Nothing here can be bought.</div>
    <div><button class="link" data-privacy>Privacy settings</button></div>`;
  document.querySelector("[data-privacy]").addEventListener("click", ({ target }) => ask(introduce, target));
};

/** Says who is signed in, once the visitor has agreed to be known by an address. */
const introduce = () => {
  const user = shop.user();
  if (user && mayBeNamed()) firsthand.identify(user.id, { email: user.email });
};

const basketChanged = () => {
  document.querySelector(".count").textContent = shop.count();
};

const listed = (products) => products.map((one, place) => ({ ...shop.facts(one), position: place + 1 }));

// -- pages -----------------------------------------------------------------------------------------------------------

const pages = {
  home() {
    main.innerHTML = `
      <section class="hero">${landscape()}
        <div><h1>Go a little further.</h1><p>Tents, boots and everything that keeps you warm in between.</p>
          <a class="button" href="/list.html?category=camping">See what's new</a></div>
      </section>
      <section><h2>Seen on good trails</h2>${grid(["tent-2p", "shoes-run-42", "pack-25", "jacket-rain-m"].map(find))}</section>
      <section class="tiles">${Object.entries(CATEGORIES)
        .map(
          ([id, { name, words }]) => `<a href="/list.html?category=${id}">
            ${picture(PRODUCTS.find((one) => one.category === id))}<span><b>${name}</b>${words}</span></a>`,
        )
        .join("")}</section>`;
  },

  list() {
    const id = query.get("category") in CATEGORIES ? query.get("category") : "camping";
    const { name, words } = CATEGORIES[id];
    const products = PRODUCTS.filter((one) => one.category === id);
    document.title = `${name} · Northway Outfitters`;
    main.innerHTML = `<div class="head"><h1>${name}</h1><p>${words} <span>${products.length} products</span></p></div>${grid(products)}`;
    firsthand.track("Product List Viewed", { list_id: id, category: id, products: listed(products) });
  },

  search() {
    const asked = (query.get("q") || "").trim();
    const products = search(asked);
    const words = products.length ? `${products.length} found` : "Nothing found. Perhaps one of these?";
    const shown = products.length ? products : PRODUCTS.slice(0, 4);
    main.innerHTML = `<div class="head"><h1>“${text(asked)}”</h1><p>${words}</p></div>${grid(shown)}`;
    if (asked) firsthand.track("Products Searched", { query: asked, products: listed(products) });
  },

  product() {
    const product = find(query.get("id"));
    if (!product) return pages.missing();
    const category = CATEGORIES[product.category];
    document.title = `${product.name} · Northway Outfitters`;
    main.innerHTML = `
      <p class="crumbs"><a href="/">Home</a> / <a href="/list.html?category=${product.category}">${category.name}</a> / ${product.name}</p>
      <section class="product">
        <div class="picture">${picture(product)}</div>
        <div>
          <small>${product.brand}</small><h1>${product.name}</h1>${price(product)}
          <p>${product.words}</p>
          <p class="stock ${product.in_stock ? "" : "out"}">${product.in_stock ? "In stock, with you in two days" : "Back in two weeks"}</p>
          <form class="row">
            <label>Quantity <select name="quantity">${options(quantities(), 1)}</select></label>
            <button ${product.in_stock ? "" : "disabled"}>Add to basket</button>
          </form>
          <p class="said" role="status"></p>
          <ul><li>Repairs for life</li><li>60 days to change your mind</li><li>Free delivery from ${round(shop.FREE_FROM)}</li></ul>
        </div>
      </section>
      ${recommendations("Goes well with it", similar(product))}`;
    firsthand.track("Product Viewed", shop.facts(product));
    main.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      shop.add(product, Number(event.target.quantity.value));
      basketChanged();
      const said = main.querySelector(".said");
      said.innerHTML = `In your basket. <a href="/cart.html">Go to the basket</a>`;
      said.scrollIntoView({ block: "nearest" });
    });
  },

  cart() {
    const draw = () => {
      const lines = shop.lines();
      if (!lines.length) {
        main.innerHTML = `<div class="head"><h1>Your basket</h1><p>It is empty. <a href="/list.html?category=camping">Go and find something.</a></p></div>
          ${recommendations("To begin with", PRODUCTS.slice(0, 4))}`;
        return;
      }
      const rows = lines.map(
        ({ product, quantity }) => `<li>
          <a class="picture" href="/product.html?id=${product.id}">${picture(product)}</a>
          <div><b>${product.name}</b><small>${product.brand}</small></div>
          <label>Quantity <select data-line="${product.id}">${options(quantities(quantity), quantity)}</select></label>
          <span class="price">${money(product.price * quantity)}</span>
          <button class="link" data-remove="${product.id}">Remove</button></li>`,
      );
      main.innerHTML = `<div class="head"><h1>Your basket</h1></div>
        <div class="columns"><ul class="lines">${rows.join("")}</ul>
        <aside class="summary"><h2>Summary</h2><p>Products <span>${money(shop.total())}</span></p>${delivered()}<a class="button" href="/checkout.html">Check out</a></aside></div>
        ${recommendations("Often bought with these", similar(lines[0].product))}`;
    };
    const change = (id, quantity) => {
      shop.put(find(id), quantity);
      basketChanged();
      draw();
    };
    main.addEventListener("change", ({ target }) => target.dataset.line && change(target.dataset.line, Number(target.value)));
    main.addEventListener("click", ({ target }) => target.dataset.remove && change(target.dataset.remove, 0));
    draw();
    firsthand.track("Cart Viewed", shop.basket());
  },

  checkout() {
    if (!shop.count()) return location.replace("/cart.html");
    const rows = shop.lines().map(({ product, quantity }) => `<p>${quantity} × ${product.name} <span>${money(product.price * quantity)}</span></p>`);
    main.innerHTML = `<div class="head"><h1>Checkout</h1></div>
      <div class="columns">
        <form class="fields">
          <h2>Where to?</h2>
          <label>E-mail <input name="email" type="email" autocomplete="email" required value="${text(shop.user()?.email)}" /></label>
          <label>Name <input name="name" autocomplete="name" required /></label>
          <label>Street and number <input name="street" autocomplete="street-address" required /></label>
          <label class="half">Postcode <input name="postcode" autocomplete="postal-code" required /></label>
          <label class="half">Town <input name="town" autocomplete="address-level2" required /></label>
          <h2>How will you pay?</h2>
          <label class="choice"><input type="radio" name="payment" value="invoice" checked /> Invoice</label>
          <label class="choice"><input type="radio" name="payment" value="card" /> Card</label>
          <button>Buy for ${money(shop.ordered().total)}</button>
        </form>
        <aside class="summary"><h2>Your order</h2>${rows.join("")}${delivered()}</aside>
      </div>`;
    firsthand.track("Checkout Started", shop.basket());
    const form = main.querySelector("form");
    const email = form.elements.email;
    email.addEventListener("change", () => {
      if (email.validity.valid && mayBeNamed()) firsthand.identify({ email: email.value });
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      firsthand.track("Payment Info Entered", { payment_method: form.elements.payment.value, ...shop.basket() });
      shop.place({ ...shop.ordered(), order_id: `N-${Date.now().toString(36).toUpperCase()}`, told: false });
      shop.empty();
      location.href = "/thanks.html";
    });
  },

  thanks() {
    const order = shop.order();
    if (!order) return location.replace("/");
    const { told, ...facts } = order;
    main.innerHTML = `<div class="head"><h1>Thank you.</h1><p>Your order <b>${text(order.order_id)}</b> for ${money(order.total)} goes nowhere: this is a sample shop. What it told the gateway is real: <code>firsthand status</code> shows it.</p></div>
      ${recommendations("For the next time", similar(find(order.products[0].product_id)))}`;
    if (told) return; // the page was loaded again
    shop.place({ ...order, told: true });
    firsthand.track("Order Completed", facts);
  },

  account() {
    const user = shop.user();
    main.innerHTML = user
      ? `<div class="narrow"><h1>Good to see you</h1><p>You are signed in as <b>${text(user.email)}</b>.</p><form><button>Sign out</button></form></div>`
      : `<div class="narrow"><h1>Sign in</h1><p>Any address will do, and none gets a message.</p>
          <form class="fields"><label>E-mail <input name="email" type="email" autocomplete="email" required /></label><button>Sign in</button></form></div>`;
    main.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (user) {
        firsthand.track("Signed Out");
        firsthand.reset();
        shop.remember(null);
      } else {
        const email = event.target.elements.email.value.trim().toLowerCase();
        shop.remember({ id: `customer-${hash(email)}`, email });
        introduce();
        firsthand.track("Signed In");
      }
      location.href = "/";
    });
  },

  missing() {
    const asked = location.pathname.endsWith("/product.html") ? "We don't have that" : "There is no such page";
    document.title = `${asked} · Northway Outfitters`;
    main.innerHTML = `<div class="head"><h1>${asked}</h1><p>Perhaps one of these? Or <a href="/">from the beginning</a>.</p></div>${grid(PRODUCTS.slice(0, 4))}`;
  },
};

/** A customer number for an address, the same each time. */
const hash = (email) => [...email].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) % 90000, 7) + 10000;

// A click into a recommendation names the module that made it.
main.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-module]");
  const product = link && find(link.dataset.product);
  if (!product) return;
  const module = link.dataset.module;
  firsthand.track("Product Clicked", { ...shop.facts(product), ...(module && { module }) });
});

frame();
consent(introduce);
introduce();
pages[document.body.dataset.page]();
