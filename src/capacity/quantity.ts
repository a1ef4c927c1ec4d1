/**
 * Quantities of Kubernetes as exact numbers: billionths of the unit (cores, bytes, devices), which is as fine as
 * Kubernetes keeps them (apimachinery `resource.Quantity`: finer ones are rounded up).
 */

/** Amounts by resource, in billionths of the unit. */
export type Amounts = ReadonlyMap<string, bigint>;

export const UNIT = 1_000_000_000n;

const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n,
};
const QUANTITY = /^([+-]?)([0-9]*)(?:[.]([0-9]*))?(?:(Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?[0-9]{1,3})|([numkMGTPE]?))$/;

/**
 * @param text such as `500m`, `2`, `1.5Gi` or `1e3`
 * @throws {RangeError} for a text that is no quantity; the API server lets none through
 */
export function parseQuantity(text: string | number): bigint {
  const match = QUANTITY.exec(String(text).trim());
  const [, sign, whole = '', fraction = '', binary, exponent, decimal = ''] = match ?? [];
  if (match === null || whole + fraction === '')
    throw new RangeError(`"${text}" is not a quantity such as 500m or 1Gi`);
  const digits = BigInt(whole + fraction);
  const factor = binary === undefined ? 1n : (BINARY[binary] ?? 1n);
  const power = (exponent === undefined ? (DECIMAL[decimal] ?? 0) : Number(exponent)) - fraction.length + 9;
  const scaled = digits * factor;
  const amount = power >= 0 ? scaled * 10n ** BigInt(power) : ceilDivide(scaled, 10n ** BigInt(-power));
  return sign === '-' ? -amount : amount;
}

/** Amounts from a list of Kubernetes, such as `resources.requests` or `status.allocatable`. */
export function amountsOf(list: Readonly<Record<string, string | number>> | undefined): Amounts {
  return new Map(Object.entries(list ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
}

/** Rounded up to a multiple of `unit`. */
export function roundUp(amount: bigint, unit: bigint): bigint {
  return ceilDivide(amount, unit) * unit;
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return dividend <= 0n ? dividend / divisor : (dividend + divisor - 1n) / divisor;
}

const BYTES = /^(?:(?:requests|limits)[.])?(?:memory|ephemeral-storage|storage|hugepages-.+)$/;

/** An amount as a person would write it: `1`, `500m` or `1.5`, and bytes as `16Gi`. */
export function formatAmount(resource: string, amount: bigint): string {
  if (amount < 0n) return `-${formatAmount(resource, -amount)}`;
  if (BYTES.test(resource)) return formatBytes(amount);
  const thousandths = amount / (UNIT / 1000n);
  if (thousandths % 1000n === 0n) return String(thousandths / 1000n);
  return thousandths < 1000n ? `${thousandths}m` : String(Number(thousandths) / 1000);
}

function formatBytes(amount: bigint): string {
  const bytes = amount / UNIT;
  const [suffix, size] = Object.entries(BINARY).findLast(([, each]) => bytes >= each) ?? ['', 1n];
  const tenths = (bytes * 10n) / size;
  return `${tenths % 10n === 0n ? tenths / 10n : Number(tenths) / 10}${suffix}`;
}
