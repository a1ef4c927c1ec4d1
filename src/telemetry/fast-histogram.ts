import { Histogram, type HistogramConfiguration } from 'prom-client';

/**
 * A prom-client histogram for hot paths. prom-client hashes the labels at every observation; here a series is bound
 * once and an observation is a search among the bounds and three additions. Scrapes read the same exposition.
 */
export class FastHistogram<L extends string> extends Histogram<L> {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series: LabelledSeries<L>[] = [];
  readonly #collected: () => Iterable<LabelledSeries<L>>;

  /** @param collected series that are kept elsewhere and come and go, with the bounds of `buckets`; asked at each scrape */
  constructor(
    config: HistogramConfiguration<L> & { buckets: number[] },
    collected: () => Iterable<LabelledSeries<L>> = () => [],
  ) {
    super(config);
    this.#collected = collected;
    this.#name = config.name;
    this.#help = config.help;
    this.#bounds = config.buckets;
  }

  /** The series with these labels; ask once and keep it. */
  bind(labels: Record<L, string>): HistogramSeries {
    const series = new HistogramSeries(this.#bounds);
    this.#series.push({ labels, series });
    return series;
  }

  /** What prom-client's registry, and `get`, read in place of the observations that prom-client keeps itself. */
  async getForPromString() {
    return { name: this.#name, help: this.#help, type: 'histogram', aggregator: 'sum', values: this.#values() };
  }

  #values(): readonly ExposedValue[] {
    const values: ExposedValue[] = [];
    for (const { labels, series } of [...this.#series, ...this.#collected()]) {
      let total = 0;
      const push = (metricName: string, value: number, le?: string): void => {
        values.push({ metricName, value, labels: le === undefined ? {} : { le }, sharedLabels: labels });
      };
      for (const [index, count] of series.counts.entries()) {
        total += count;
        push(`${this.#name}_bucket`, total, String(this.#bounds[index] ?? '+Inf'));
      }
      push(`${this.#name}_sum`, series.sum);
      push(`${this.#name}_count`, total);
    }
    return values;
  }
}

/** What is observed under one set of labels. */
export interface LabelledSeries<L extends string> {
  readonly labels: Partial<Record<L, string>>;
  readonly series: HistogramSeries;
}

/** One line of the exposition; `sharedLabels` are formatted once for all lines of a series. */
interface ExposedValue {
  readonly metricName: string;
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly sharedLabels: Readonly<Partial<Record<string, string>>>;
}

/** Exact counts of observations by bucket; the last one counts what is above every bound. */
export class HistogramSeries {
  readonly counts: number[];
  sum = 0;
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] ?? Number.POSITIVE_INFINITY)) high = middle;
      else low = middle + 1;
    }
    this.counts[low] = (this.counts[low] ?? 0) + 1;
    this.sum += value;
  }
  /** The same observations by fewer bounds, each of which is one of this series. */
  merged(bounds: readonly number[]): HistogramSeries {
    const series = new HistogramSeries(bounds);
    series.sum = this.sum;
    let bucket = 0;
    for (const [index, count] of this.counts.entries()) {
      const upper = this.#bounds[index] ?? Number.POSITIVE_INFINITY;
      while (upper > (bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
      series.counts[bucket] = (series.counts[bucket] ?? 0) + count;
    }
    return series;
  }
}
