/**
 * Amounts, as options have them.
 *
 * @module
 */

const UNITS = { "": 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n } as const;

/**
 * Reads an amount.
 *
 * @param text A number, or one with K, M or G behind it: multiples of 1024.
 * @returns It; `undefined` of anything else.
 */
export function parseAmount(text: string): bigint | undefined {
  const [, digits, unit = ""] = /^(\d{1,20})([KMG]?)$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return BigInt(digits) * UNITS[unit.toUpperCase() as keyof typeof UNITS];
}
