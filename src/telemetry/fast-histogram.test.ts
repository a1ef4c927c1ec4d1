import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { FastHistogram } from './fast-histogram.ts';

const buckets = [0.001, 0.01, 0.1, 1];
const config = { name: 'latency_seconds', help: 'help', labelNames: ['model'], buckets, registers: [] };

test('it exposes exactly what a prom-client histogram exposes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.constantFrom(...buckets))),
      async (values) => {
        const slow = new Histogram(config);
        const fast = new FastHistogram(config);
        const bound = fast.bind({ model: 'm' });
        slow.zero({ model: 'm' });
        for (const value of values) {
          slow.observe({ model: 'm' }, value);
          bound.observe(value);
        }
        const text = async (histogram: Histogram): Promise<string> => {
          const registry = new Registry();
          registry.registerMetric(histogram);
          return registry.metrics();
        };
        expect(await text(fast)).toBe(await text(slow));
        expect((await fast.get()).values).toHaveLength((await slow.get()).values.length);
      },
    ),
  );
});
