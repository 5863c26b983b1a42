// The basket, and who is signed in: the shop's own memory, in the browser, without which it would not work.

import { CATEGORIES, CURRENCY, find } from "./catalogue.js";

const read = (key) => JSON.parse(localStorage.getItem(`shop.${key}`) || "null");
const write = (key, value) => localStorage.setItem(`shop.${key}`, JSON.stringify(value));

export const user = () => read("user");
export const remember = (one) => write("user", one);
export const order = () => read("order");
export const place = (one) => write("order", one);

/** Lines of the basket: `[{product, quantity}]`. */
export const lines = () =>
  (read("basket") || []).flatMap(({ id, quantity }) => (find(id) ? [{ product: find(id), quantity }] : []));
export const count = () => lines().reduce((sum, { quantity }) => sum + quantity, 0);
export const total = () => cents(lines().reduce((sum, { product, quantity }) => sum + product.price * quantity, 0));
export const FREE_FROM = 80;
export const delivery = () => (total() >= FREE_FROM ? 0 : 4.9);
export const empty = () => write("basket", []);

const cents = (amount) => Math.round(amount * 100) / 100;

/** What an event says of a product. */
export const facts = ({ id, name, category, brand, price, in_stock }) => ({
  ...{ product_id: id, name, category, brand, price, currency: CURRENCY, in_stock },
  category_path: `${category}#${CATEGORIES[category].name.replace(/[,;]/g, "")}`,
});
export const basket = () => ({
  currency: CURRENCY,
  total: total(),
  products: lines().map(({ product, quantity }) => ({ ...facts(product), quantity })),
});

/** The order that the basket becomes: with the delivery, which its total has in it. */
export const ordered = () => ({ ...basket(), shipping: delivery(), total: cents(total() + delivery()) });

/** Sets how many of a product there are, and says so: always with the whole basket, which some vendors want. */
export const put = (product, quantity, more = {}) => {
  const now = lines();
  const line = now.find((one) => one.product.id === product.id);
  const before = line?.quantity || 0;
  if (line) line.quantity = quantity;
  else now.push({ product, quantity });
  write("basket", now.filter((one) => one.quantity > 0).map((one) => ({ id: one.product.id, quantity: one.quantity })));
  if (quantity === before) return;
  const name = quantity > before ? "Product Added" : "Product Removed";
  firsthand.track(name, { ...facts(product), ...basket(), quantity: Math.abs(quantity - before), ...more });
};
export const add = (product, quantity = 1, more = {}) => {
  const line = lines().find((one) => one.product.id === product.id);
  put(product, (line?.quantity || 0) + quantity, more);
};
