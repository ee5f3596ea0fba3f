/** Names of colours as a swatch shows them; of others there is none. */

const SWATCHES = {
  black: "#1c1c1e", white: "#ffffff", "off white": "#f7f3e8", cream: "#f5ecd2", beige: "#dcc9a8", nude: "#e6c3a5", skin: "#e6c3a5",
  grey: "#8d8f93", "grey melange": "#a9abae", charcoal: "#45474b", silver: "#c3c6ca", steel: "#8a9299", metallic: "#a5a9ad",
  brown: "#73482a", "coffee brown": "#4f3423", "mushroom brown": "#9c8673", tan: "#c69a6b", taupe: "#8b7d70", khaki: "#a8986a",
  copper: "#b06a3b", bronze: "#8f6a3a", gold: "#cfa64a", mustard: "#d3a02a", yellow: "#f2cf3f", orange: "#ee7f27", peach: "#f6b793",
  rust: "#a8481f", red: "#c7262f", maroon: "#711a2b", burgundy: "#6d1a36", pink: "#ee86ad", rose: "#e0647f", magenta: "#c42b86",
  purple: "#76399a", mauve: "#b491c8", lavender: "#b9a5dc", blue: "#2f5fc4", "navy blue": "#1a2757", "turquoise blue": "#35b8bd",
  turquoise: "#35b8bd", teal: "#17807f", "sea green": "#3a9c79", green: "#2b8b46", olive: "#6d7030", "lime green": "#94c83d",
  "fluorescent green": "#7cf03b",
};

export const swatch = (name) => SWATCHES[name] ?? null;
