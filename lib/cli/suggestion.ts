/**
 * What may have been meant by a word that is unknown.
 *
 * To be imported when there is such a word: the module that counts the
 * differences takes 4 MiB as soon as it is loaded.
 *
 * @module
 */
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import type { Misspelt } from "../options.ts";

/**
 * Finds what may have been meant.
 *
 * @param misspelt The word, and those that it could have been.
 * @returns The word that is like it, if there is one: no more than a third of
 * its letters is wrong, or two are in each other's place.
 */
export function suggestion({ word, words }: Misspelt): string | undefined {
  if (words.length === 0) return undefined;
  const nearest = closestString(word, [...words], { compareFn: distance });
  const letters = word.replace(/^-+/, "").length;
  return distance(word.toLowerCase(), nearest.toLowerCase()) <= letters / 3
    ? nearest
    : undefined;
}

function distance(a: string, b: string): number {
  return areExchanged(a, b) ? 1 : levenshteinDistance(a, b);
}

/** Whether two neighbours are in each other's place, and all else is right. */
function areExchanged(a: string, b: string): boolean {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i < a.length && a[i] === b[i + 1] && a[i + 1] === b[i] &&
    a.slice(i + 2) === b.slice(i + 2);
}
