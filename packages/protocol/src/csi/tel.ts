// `tel:` (RFC 3966, E.164): global numbers. Canonical body: `+`, an assigned calling code and the rest,
// 7..15 digits. Syntax only: whether a number is assigned to someone is another question.
//
// International form is kept digit by digit: the 9 of Argentina's mobiles, Italy's leading zero and the
// like are neither added nor removed (no carrier rewriting). National form is read by libphonenumber.

import { isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/max";
import type { PhoneNumber } from "libphonenumber-js/max";
import { callingCodeOf } from "./calling-codes.js";
import { invalidCsi } from "./scheme.js";
import type { CsiInput, CsiScheme } from "./scheme.js";

const digitsMin = 7;
const digitsMax = 15;
/** Digits at the end of a number that no directory is told: 10,000 numbers to hide among. */
const digitsHidden = 4;
/** National numbers as short as this may be short codes; only ones known to be valid pass. */
const shortDigitsMax = 6;

// What people and address books put between digits: white space, dashes, dots, brackets, slashes, and
// the marks of direction that some systems wrap around a number.
const separators =
  /[\s\-.()[\]/~\u00ad\u200b\u200e\u200f\u2010-\u2015\u202a-\u202e\u2060\u2066-\u2069\u2212\u30fc\uff0d]/gu;

export const tel: CsiScheme = {
  scheme: "tel",
  proofMethods: ["sms", "passport", "network"],
  claims: (bare) => !bare.includes("@") && /^\+?[0-9]/.test(plainDigits(bare)),
  parse: (input) => `+${checkedDigits(digitsOf(input))}`,
  labels: (body) => Array.from(body.slice(1)),
  disclosedLabels: (labels) => Math.max(0, labels.length - digitsHidden),
  isPrefix: (text) => /^(?:\+[1-9][0-9]{0,14})?$/.test(text),
  prefixLabels: (text) => Array.from(text.slice(1)),
  prefixText: (labels) => (labels.length === 0 ? "" : `+${labels.join("")}`),
};

function checkedDigits(digits: string): string {
  if (!/^[1-9]/.test(digits)) throw invalidCsi("a calling code does not begin with 0");
  if (callingCodeOf(digits) === undefined) throw invalidCsi("the calling code is not assigned");
  if (digits.length < digitsMin)
    throw invalidCsi("fewer than 7 digits: a short code is no identifier");
  if (digits.length > digitsMax) throw invalidCsi("more than 15 digits");
  return digits;
}

function digitsOf({ form, text, defaultRegion }: CsiInput): string {
  if (form === "uri") return digitsOfUri(text);
  const plain = plainDigits(text);
  if (/^\+[0-9]+$/.test(plain)) return withoutTrunkZero(text, plain);
  if (!/^[0-9]+$/.test(plain))
    throw invalidCsi("a number has digits only: no extension, letter, * or #");
  if (defaultRegion === undefined)
    throw invalidCsi("a national number needs a region: or write +49...");
  const region = defaultRegion.toUpperCase();
  if (!isSupportedCountry(region))
    throw invalidCsi("the default region is not a country code like DE");
  return digitsOfNational(plain, parsePhoneNumberFromString(plain, region));
}

/** RFC 3966: `+49-30-…`, or a local number whose `phone-context` is an assigned calling code. */
function digitsOfUri(text: string): string {
  const [number = "", ...parameters] = text.split(";");
  if (!/^\+?[0-9().-]+$/.test(number))
    throw invalidCsi("a tel URI is + and digits, without escapes");
  const digits = number.replace(/[^0-9]/g, "");
  if (parameters.length === 0 && number.startsWith("+")) return digits;
  const [parameter = "", ...others] = parameters;
  const context = /^phone-context=\+([0-9().-]+)$/i.exec(parameter)?.[1]?.replace(/[^0-9]/g, "");
  if (number.startsWith("+") || others.length > 0 || (parameter !== "" && context === undefined)) {
    throw invalidCsi("a tel identifier has no parameter: no ext, isub");
  }
  if (context === undefined) throw invalidCsi("a local number without a phone-context");
  if (callingCodeOf(context) !== context)
    throw invalidCsi("the phone-context is not a calling code");
  const found = parsePhoneNumberFromString(digits, { defaultCallingCode: context });
  return digitsOfNational(digits, found);
}

function digitsOfNational(typed: string, found: PhoneNumber | undefined): string {
  if (found?.isPossible() !== true) throw invalidCsi("not a possible number in that region");
  if (typed.length <= shortDigitsMax && !found.isValid()) {
    throw invalidCsi("a short code is no identifier");
  }
  return found.number.slice(1);
}

/** `+44 (0)20 …`: a zero in brackets that is no part of the number abroad, as it is in Italy. */
function withoutTrunkZero(typed: string, plain: string): string {
  const digits = plain.slice(1);
  const code = callingCodeOf(digits);
  if (code === undefined || !typed.includes("(0)")) return digits;
  const without = code + digits.slice(code.length).replace(/^0/, "");
  return parsePhoneNumberFromString(plain)?.number === `+${without}` ? without : digits;
}

/** ASCII digits and `+`, separators removed; full-width and Arabic-Indic digits are read as digits. */
function plainDigits(text: string): string {
  return text
    .replace(separators, "")
    .replace(/\uff0b/gu, "+")
    .replace(/[\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]/gu, (digit) =>
      String((digit.codePointAt(0) ?? 0) & 0xf),
    );
}
