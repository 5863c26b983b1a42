// Pictures of the products, drawn: a landscape in the product's colour, and the thing in front of it.

const COLOURS = {
  moss: ["#dfe7d6", "#b9cbaa", "#4d6b46", "#2f4630"],
  rust: ["#f4e1d4", "#e8bfa3", "#c0552b", "#7c3217"],
  slate: ["#e2e6ea", "#c2ccd4", "#5f7281", "#364552"],
  sun: ["#faedcf", "#f0d493", "#dd9b22", "#8f5f0c"],
  sea: ["#d9ebee", "#add2d8", "#2f7f8d", "#1a4f59"],
  plum: ["#ecdfea", "#d2b5cd", "#84507c", "#512e4c"],
};

const THINGS = {
  tent: (a, b) => `<path d="M100 72 178 172H22Z" fill="${a}"/><path d="M100 72 128 172H72Z" fill="${b}"/>
    <path d="M100 96 114 172H86Z" fill="#fff" opacity=".35"/>`,
  stove: (a, b) => `<rect x="72" y="126" width="56" height="48" rx="10" fill="${a}"/><rect x="84" y="112" width="32" height="16" fill="${b}"/>
    <path d="M62 108H138" stroke="${b}" stroke-width="7" stroke-linecap="round"/>
    <path d="M100 60c16 18 20 26 20 34a20 20 0 0 1-40 0c0-8 8-12 8-20 6 2 9 6 9 10 3-6 5-14 3-24Z" fill="#e8823a"/>`,
  lamp: (a, b) => `<rect x="74" y="88" width="52" height="68" rx="12" fill="#fff7dd"/><rect x="70" y="152" width="60" height="22" rx="6" fill="${b}"/>
    <rect x="70" y="76" width="60" height="16" rx="6" fill="${b}"/><path d="M80 76a20 24 0 0 1 40 0" fill="none" stroke="${a}" stroke-width="6"/>
    <circle cx="100" cy="122" r="15" fill="${a}"/>`,
  mat: (a, b) => `<path d="M36 166 70 104H176L150 166Z" fill="${a}"/><path d="M62 166 94 104M90 166 122 104M118 166 150 104" stroke="${b}" stroke-width="4" opacity=".55"/>
    <ellipse cx="46" cy="158" rx="16" ry="15" fill="${b}"/><ellipse cx="46" cy="158" rx="7" ry="6" fill="${a}"/>`,
  bag: (a, b) => `<path d="M66 80c0-22 68-22 68 0l6 78c0 22-80 22-80 0Z" fill="${a}"/><ellipse cx="100" cy="84" rx="24" ry="15" fill="${b}"/>
    <path d="M64 112H136M62 134H138M61 154H139" stroke="${b}" stroke-width="3" opacity=".5"/>`,
  pack: (a, b) => `<path d="M66 98c0-34 68-34 68 0v68c0 6-4 10-10 10H76c-6 0-10-4-10-10Z" fill="${a}"/><path d="M84 76a16 15 0 0 1 32 0" fill="none" stroke="${b}" stroke-width="6"/>
    <rect x="76" y="124" width="48" height="40" rx="8" fill="${b}"/><path d="M76 136H124" stroke="${a}" stroke-width="4"/><rect x="92" y="96" width="16" height="10" rx="3" fill="${b}"/>`,
  bottle: (a, b) => `<rect x="78" y="84" width="44" height="92" rx="12" fill="${a}"/><rect x="86" y="58" width="28" height="22" rx="5" fill="${b}"/>
    <rect x="82" y="78" width="36" height="9" fill="${b}"/><rect x="86" y="96" width="8" height="66" rx="4" fill="#fff" opacity=".35"/>`,
  jacket: (a, b) => `<path d="M76 66 42 84 30 150l22 6 10-40v60h76v-60l10 40 22-6-12-66-34-18-12 12H88Z" fill="${a}"/>
    <path d="M100 78V176" stroke="${b}" stroke-width="4"/><path d="M78 66a22 16 0 0 1 44 0l-12 14H90Z" fill="${b}"/><path d="M72 142H90M110 142H128" stroke="${b}" stroke-width="4"/>`,
  trousers: (a, b) => `<path d="M70 64H130L140 176H112L100 104 88 176H60Z" fill="${a}"/><path d="M70 64H130L131 78H69Z" fill="${b}"/>
    <path d="M68 126H84M116 126H132" stroke="${b}" stroke-width="4"/>`,
  socks: (a, b) => `<path d="M66 64H96V128l18 18c10 10-4 28-18 20L72 150c-4-3-6-7-6-12Z" fill="${a}"/><path d="M66 64H96V78H66Z" fill="${b}"/>
    <path d="M108 56h30v64l18 18c10 10-4 28-18 20l-24-16c-4-3-6-7-6-12Z" fill="${a}" opacity=".85"/><path d="M108 56h30v14h-30Z" fill="${b}"/>`,
  boot: (a, b) => `<path d="M66 64H112V118l44 18c10 4 12 12 12 24H66Z" fill="${a}"/><path d="M60 158H172V172H60Z" fill="${b}"/>
    <path d="M96 84H114M96 98H114M98 112H118" stroke="${b}" stroke-width="5" stroke-linecap="round"/><path d="M66 64H112V74H66Z" fill="${b}"/>`,
  shoe: (a, b) => `<path d="M36 116c14 10 32 8 44-6l20-16 20 22 40 14c12 4 14 12 14 22H32c-2-14 0-26 4-36Z" fill="${a}"/><path d="M30 152H176c0 14-6 18-16 18H44c-10 0-14-6-14-18Z" fill="${b}"/>
    <path d="M92 104 108 116M102 98 120 112" stroke="#fff" stroke-width="4" stroke-linecap="round"/><path d="M60 134H120" stroke="#fff" stroke-width="5" opacity=".5"/>`,
  sandal: (a, b) => `<path d="M26 154C60 140 140 140 176 152c4 10-2 18-14 18H40c-10 0-16-6-14-16Z" fill="${b}"/><path d="M54 146c6-34 34-34 44-2M104 142c8-26 34-24 44 4" fill="none" stroke="${a}" stroke-width="11"/>`,
};

/** An SVG that fills its box; `label` is for those who do not see it. */
export const picture = ({ art, colour, name }) => {
  const [sky, hills, a, b] = COLOURS[colour];
  return `<svg viewBox="0 0 200 200" preserveAspectRatio="xMidYMid slice" role="img" aria-label="${name}">
    <rect width="200" height="200" fill="${sky}"/><circle cx="152" cy="52" r="20" fill="#fff" opacity=".75"/>
    <path d="M-20 150 40 92 84 136 128 84 220 160V200H-20Z" fill="${hills}" opacity=".55"/>
    <path d="M-20 174Q60 148 110 168T220 162V200H-20Z" fill="${hills}"/>
    <ellipse cx="100" cy="176" rx="70" ry="7" fill="${b}" opacity=".25"/>${THINGS[art](a, b)}</svg>`;
};

export const landscape = () => `<svg viewBox="0 0 1200 520" preserveAspectRatio="xMidYMax slice" aria-hidden="true">
  <rect width="1200" height="520" fill="#f3d9b8"/><circle cx="900" cy="150" r="62" fill="#fff3dc"/>
  <path d="M0 330 180 190 300 280 470 120 660 310 800 210 960 320 1080 250 1200 330V520H0Z" fill="#c9a98a"/>
  <path d="M0 400 140 300 320 390 520 250 720 400 900 310 1200 420V520H0Z" fill="#7f8f72"/>
  <path d="M0 450Q300 380 620 440T1200 420V520H0Z" fill="#3f5a45"/>
  <path d="M790 300 900 452H680Z" fill="#d9622b"/><path d="M790 300 826 452H754Z" fill="#8f3a14"/><path d="M790 340 806 452H774Z" fill="#ffe3b0"/>
  <path d="M0 486Q360 430 700 470T1200 466V520H0Z" fill="#25402f"/>
  <g fill="#25402f"><path d="M96 470 122 380 148 470Z"/><path d="M140 478 160 408 180 478Z"/><path d="M1040 470 1068 372 1096 470Z"/><path d="M1090 474 1112 398 1134 474Z"/></g></svg>`;
