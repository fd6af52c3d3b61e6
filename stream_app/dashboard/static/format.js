// Numbers and times as people read them. All times are UTC.

const missing = "–";

// Below it a price has an exponent, for nobody counts that many zeros.
export const tiny = 1e-6;

// With six digits that count, of a price of the size of `like`.
export function price(value, like = value) {
  if (value === null || value === undefined) return missing;
  const size = Math.abs(like) || 1;
  if (size < tiny) return value.toExponential(5).replaceAll("-", "−");
  const digits = Math.max(2, 5 - Math.floor(Math.log10(size)));
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function signed(value, digits = 2) {
  if (value === null || value === undefined) return missing;
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
}

export function fixed(value, digits = 2) {
  return value === null || value === undefined ? missing : value.toFixed(digits);
}

export function percent(value, digits = 1) {
  return value === null || value === undefined ? missing : `${(100 * value).toFixed(digits)} %`;
}

// The level of an interval, with the digits that it has.
export const stated = (level) => `${Number((100 * level).toFixed(4))} %`;

export function signedPercent(value, digits = 2) {
  return value === null || value === undefined ? missing : `${signed(100 * value, digits)} %`;
}

export const count = (value) =>
  value === null || value === undefined ? missing : value.toLocaleString("en");

export function basisPoints(to, from) {
  return to > 0 && from > 0 ? 1e4 * Math.log(to / from) : null;
}

export function clock(ms) {
  return ms === null || ms === undefined ? missing : new Date(ms).toISOString().slice(11, 19);
}

export function moment(ms) {
  return ms === null || ms === undefined ? missing : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return missing;
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor((whole % 86400) / 3600), "h"],
    [Math.floor((whole % 3600) / 60), "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([size]) => size > 0);
  const shown = first < 0 ? [[0, "s"]] : parts.slice(first, first + 2).filter(([size]) => size > 0);
  return shown.map(([size, unit]) => `${size} ${unit}`).join(" ");
}
