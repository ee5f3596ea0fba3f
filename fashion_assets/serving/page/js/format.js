/**
 * Values as people read them.
 *
 * What belongs here: numbers, dates, names of attributes. What does not: sentences about errors (`told`).
 */

const whole = new Intl.NumberFormat("en");
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "short" });

export const count = (number) => whole.format(number);

/** "1 product", "2,000 products". */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

/** The price of a product, with its currency where there is one; "" without. */
export function price(attributes) {
  const value = attributes.price;
  if (value === null || value === undefined || value === "") return "";
  const amount = money.format(Number(value));
  return attributes.currency ? `${amount} ${attributes.currency}` : amount;
}

/** A name of an attribute, or a reason, as a person says it. */
export const words = (name) => String(name).replaceAll("_", " ").replaceAll(".", " ");

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const milliseconds = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

/** A time of the server's (ISO 8601), or "" where it is none. */
export function when(text) {
  const date = new Date(text ?? NaN);
  return Number.isNaN(date.getTime()) ? "" : moment.format(date);
}

/** The total of an answer: "more than 1,200 found" where not all were counted. */
export function found(total) {
  if (!total || typeof total.value !== "number") return "";
  if (total.value === 0) return "Nothing found";
  return `${total.exact === false ? "More than " : ""}${count(total.value)} found`;
}
