// What the shop sells.

export const CURRENCY = "EUR";

export const CATEGORIES = {
  camping: { name: "Camping", words: "Sleep outside, and sleep well." },
  packs: { name: "Packs & bottles", words: "Carry less, carry it better." },
  clothing: { name: "Clothing", words: "For every kind of sky." },
  shoes: { name: "Shoes", words: "The only thing between you and the mountain." },
};

const product = (id, name, category, brand, price, art, colour, words, more = {}) => ({
  ...{ id, name, category, brand, price, art, colour, words, in_stock: true },
  ...more,
});

export const PRODUCTS = [
  product("tent-2p", "Tent for two", "camping", "Lunde", 189, "tent", "moss", "Pitched in four minutes, 2.1 kg on your back, dry in a night of rain.", { was: 219 }),
  product("tent-4p", "Family tent", "camping", "Lunde", 349.5, "tent", "rust", "Room for four and a rainy afternoon with cards."),
  product("stove-gas", "Gas stove", "camping", "Ember", 44.9, "stove", "slate", "A litre of water boils in three and a half minutes."),
  product("lamp-led", "LED lamp", "camping", "Ember", 24.9, "lamp", "sun", "Forty hours of light, or four of a small party."),
  product("mat-air", "Sleeping mat", "camping", "Lunde", 59, "mat", "sea", "Six centimetres of air, and roots are no longer your problem."),
  product("bag-down", "Down sleeping bag", "camping", "Lunde", 219, "bag", "plum", "Comfortable to −4 °C, and no larger than a loaf of bread.", { in_stock: false }),
  product("pack-25", "Day pack 25 l", "packs", "Tarn", 79.9, "pack", "sea", "A day's worth of everything, with a back that breathes."),
  product("pack-65", "Trekking pack 65 l", "packs", "Tarn", 199, "pack", "moss", "Sits on the hips, not on the shoulders. For a week and more."),
  product("bottle-1l", "Steel bottle", "packs", "Tarn", 27.5, "bottle", "slate", "Keeps tea hot from breakfast until the summit."),
  product("jacket-rain-m", "Rain jacket", "clothing", "Skerry", 129, "jacket", "sun", "Three layers, taped seams, and pockets that a harness leaves free."),
  product("jacket-down-m", "Down jacket", "clothing", "Skerry", 239, "jacket", "rust", "Weighs 340 g and ends every discussion about the cold."),
  product("trousers-m", "Walking trousers", "clothing", "Skerry", 89.9, "trousers", "moss", "Stretch where you bend, strong where you sit on rocks."),
  product("socks-wool", "Wool socks", "clothing", "Skerry", 17.9, "socks", "plum", "Merino, padded at heel and toe. Buy two pairs."),
  product("boots-42", "Hiking boots", "shoes", "Cairn", 179, "boot", "rust", "Leather that outlives its soles. We put on new ones."),
  product("shoes-run-42", "Trail running shoes", "shoes", "Cairn", 139.9, "shoe", "sea", "Grip for the way down, foam for the way home.", { was: 159.9 }),
  product("sandals-42", "Sandals", "shoes", "Cairn", 69, "sandal", "sun", "For rivers, camps and the first warm week of May."),
];

export const find = (id) => PRODUCTS.find((one) => one.id === id);

export const search = (query) => {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (one) => `${one.name} ${one.brand} ${CATEGORIES[one.category].name} ${one.words}`.toLowerCase();
  return words.length ? PRODUCTS.filter((one) => words.every((word) => text(one).includes(word))) : [];
};

/** Others of its kind first, then what goes with it. */
export const similar = (product, count = 4) =>
  PRODUCTS.filter((one) => one.id !== product.id)
    .sort((a, b) => closeness(b, product) - closeness(a, product))
    .slice(0, count);

const closeness = (one, other) =>
  2 * (one.category === other.category) + (one.brand === other.brand) - Math.abs(one.price - other.price) / 1000;

export const round = (amount) => money(amount).replace(/\.00$/, "");
export const money = (amount) => new Intl.NumberFormat("en-IE", { style: "currency", currency: CURRENCY }).format(amount);
