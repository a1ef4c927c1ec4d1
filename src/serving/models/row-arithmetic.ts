import { type Element, type Fixed, fixed, type NodeFlow, numbersOf } from './row-flow.ts';

/**
 * Graphs compute shapes as they compute everything else. These operators are followed element by element where all that
 * they read is fixed; undefined where that does not tell what comes out.
 */
export function shapeArithmetic(operator: string, node: NodeFlow): Fixed | undefined {
  const inputs = node.inputs.flatMap((flow) => (flow?.kind === 'fixed' ? flow : []));
  if (inputs.length !== node.inputs.length) return undefined;
  const [first] = inputs;
  if (first?.elements === undefined) return undefined;
  switch (operator) {
    case 'Identity':
      return first;
    case 'Cast':
      // INT32 and INT64: in any other type the number of rows might be divided.
      return node.integer('to') === 6 || node.integer('to') === 7 ? first : undefined;
    case 'Squeeze':
      return first.elements.length === 1 ? fixed(0, first.elements) : undefined;
    case 'Unsqueeze':
      return first.rank === 0 ? fixed(1, first.elements) : undefined;
    case 'Reshape':
      return numbersOf(inputs[1])?.join() === '-1' ? fixed(1, first.elements) : undefined;
    case 'Concat':
      return inputs.every(({ rank, elements }) => rank === 1 && elements !== undefined)
        ? fixed(
            1,
            inputs.flatMap(({ elements }) => elements ?? []),
          )
        : undefined;
    case 'Gather':
      return gathered(first, inputs[1]);
    case 'Slice':
      return sliced(first, node);
    default:
      return elementwise(operator, inputs);
  }
}

function gathered({ rank, elements = [] }: Fixed, indices: Fixed | undefined): Fixed | undefined {
  const places = numbersOf(indices);
  if (rank !== 1 || places === undefined) return undefined;
  return fixed(
    indices?.rank,
    places.map((place) => elements.at(place)),
  );
}

function sliced({ rank, elements = [] }: Fixed, node: NodeFlow): Fixed | undefined {
  const [from] = node.numbers('starts', 1) ?? [];
  const [to] = node.numbers('ends', 2) ?? [];
  const isWhole = (node.inputs[4] === undefined ? 1 : numbersOf(node.fixed(4))?.[0]) === 1;
  return rank === 1 && from !== undefined && to !== undefined && isWhole
    ? fixed(1, elements.slice(from, to))
    : undefined;
}

function elementwise(operator: string, inputs: readonly Fixed[]): Fixed | undefined {
  const combine = COMBINED[operator];
  if (combine === undefined) return undefined;
  const lists = inputs.map(({ elements }) => elements);
  const length = Math.max(...lists.map((list) => list?.length ?? Number.NaN));
  // Of NaN, where the elements of an input are not known, nothing is equal.
  if (!lists.every((list) => list !== undefined && (list.length === length || list.length === 1))) return undefined;
  const elements: Element[] = [];
  for (let index = 0; index < length; index++) {
    const combined = combine(lists.map((list) => list?.[list.length === 1 ? 0 : index]));
    if (combined === 'unknown') return undefined;
    elements.push(combined);
  }
  return fixed(Math.max(...inputs.map(({ rank }) => rank ?? 0)), elements);
}

/** One element of the result; `unknown` where it may depend on the number of rows in a way that has no name here. */
type Combine = (elements: readonly Element[]) => Element | 'unknown';

function ofNumbers(combine: (a: number, b: number) => number): Combine {
  return ([a, b]) => {
    if (a === 'rows' || b === 'rows') return 'unknown';
    return a === undefined || b === undefined ? undefined : combine(a, b);
  };
}

const times = ofNumbers((a, b) => a * b);
const equals = ofNumbers((a, b) => Number(a === b));

const COMBINED: Readonly<Record<string, Combine>> = {
  Add: ofNumbers((a, b) => a + b),
  Sub: ofNumbers((a, b) => a - b),
  Mul: (elements) => {
    const factor = elements.find((element) => element !== 'rows');
    return elements.includes('rows') && typeof factor === 'number' && factor > 0 ? 'rows' : times(elements);
  },
  Equal: (elements) =>
    elements.includes('rows') && elements.some((element) => typeof element === 'number' && element < 0)
      ? 0
      : equals(elements),
  Where: ([condition, a, b]) => {
    if (a === b) return a;
    return typeof condition === 'number' ? (condition === 0 ? b : a) : 'unknown';
  },
};
