/**
 * Timestamps that a script writes: `2026-11-26T01:57:03.123456Z `.
 *
 * @module
 */
import type { CallScript, Cell, Operand, Place } from "./call_script.ts";

const TEMPLATE = "0000-00-00T00:00:00.000000Z ";

/** How long a timestamp is, with the blank behind it. */
export const STAMP_LENGTH: number = TEMPLATE.length;

const DAY_SECONDS = 86_400;
/** From the first of March of the year 0 to the first of January 1970. */
const DAYS_TO_1970 = 719_468;
/** In 400 years, in 100 but for the last ones, in 4 but for the last, in one. */
const DAYS = { era: 146_097, century: 36_524, leap: 1460, year: 365 } as const;
const LINE_FEED = 10;

/**
 * Makes room for a timestamp. It is 32 bytes, so that it can be copied fast.
 *
 * @param script The script.
 * @returns Where the timestamp will be.
 */
export function stampRoom(script: CallScript): Place {
  return script.bytes(new TextEncoder().encode(TEMPLATE.padEnd(32)));
}

/**
 * Adds the steps that write the time as a timestamp, in UTC, for the years from
 * 1970 to 9999.
 *
 * The year begins in March for them: so a leap day is the last of its year, and
 * the lengths of the months before it are a line with a slope of 153 days in
 * five months.
 *
 * @param script The script.
 * @param time A `struct timespec` of the time.
 * @param stamp Room of {@linkcode stampRoom}.
 */
export function writeStamp(
  script: CallScript,
  time: Place,
  stamp: Place,
): void {
  const sum = (a: Operand, b: Operand): Cell => {
    const result = script.cell();
    script.add("", a, b, { result });
    return result;
  };
  const minus = (a: Operand, b: Operand): Cell => {
    const result = script.cell();
    script.subtract("", a, b, { result });
    return result;
  };
  const multiplyAdd = (a: Operand, b: Operand, c: Operand): Cell => {
    const result = script.cell();
    script.step("", "multiplyAdd", [a, b, c], { result });
    return result;
  };
  const quotient = (a: Operand, b: number): Cell => {
    const result = script.cell();
    script.step("", "divide", [a, b], { result });
    return result;
  };
  const divided = (a: Operand, b: number): [Cell, Cell] => {
    const whole = quotient(a, b);
    return [whole, multiplyAdd(whole, -b, a)];
  };

  const [days, ofDay] = divided({ cell: time.place }, DAY_SECONDS);
  const [hour, ofHour] = divided(ofDay, 3600);
  const [minute, second] = divided(ofHour, 60);
  const microsecond = quotient({ cell: time.place + 8 }, 1000);

  const [era, ofEra] = divided(sum(days, DAYS_TO_1970), DAYS.era);
  // Without the leap days that came before, every year has as many days.
  const leaps = minus(
    sum(quotient(ofEra, DAYS.leap), quotient(ofEra, DAYS.era - 1)),
    quotient(ofEra, DAYS.century),
  );
  const yearOfEra = quotient(minus(ofEra, leaps), DAYS.year);
  const before = minus(
    multiplyAdd(yearOfEra, DAYS.year, quotient(yearOfEra, 4)),
    quotient(yearOfEra, 100),
  );
  const ofYear = minus(ofEra, before);
  const month = quotient(multiplyAdd(ofYear, 5, 2), 153);
  const day = minus(ofYear, quotient(multiplyAdd(month, 153, 2), 5));
  // 1 in January and February, which belong to the next year.
  const next = quotient(month, 10);
  const year = sum(multiplyAdd(era, 400, yearOfEra), next);

  const scratch = script.bytes(new Uint8Array(24));
  const digits = (at: number, count: number, value: Operand, plus = 0) => {
    // With a 1 before the zeros that it is to have.
    const padded = sum(value, 10 ** count + plus);
    script.step("", "decimal", [padded, scratch]);
    const [to, from] = [stamp.place + at, scratch.place + 1];
    const places = [{ place: to }, { place: from }];
    script.step("", "copy", [...places, count, LINE_FEED]);
  };
  digits(0, 4, year);
  digits(5, 2, multiplyAdd(next, -12, month), 3);
  digits(8, 2, day, 1);
  digits(11, 2, hour);
  digits(14, 2, minute);
  digits(17, 2, second);
  digits(20, 6, microsecond);
}
