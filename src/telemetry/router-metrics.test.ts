import { expect, test } from 'vitest';
import { HistogramSeries } from './fast-histogram.ts';
import { RouterMetrics, type RouterNumbers } from './router-metrics.ts';

test('metrics are what is counted at the moment of the scrape, and what is gone is not told any more', async () => {
  const latency = new HistogramSeries([0.005, 0.01, 0.05, 0.1, 0.5]);
  latency.observe(0.02);
  latency.observe(0.03);
  latency.observe(0.5);
  const mirror = { requests: 5, errors: 1, dropped: 2, compared: 4, agreed: 3 };
  const revision = { modelDeployment: 'churn', revision: 'churn-a' };
  const counted = [
    { ...revision, counter: { requests: 10, errors: 3, cancelled: 2, withdrawn: 4, passedOver: 1, latency, mirror } },
  ];
  const routed = [
    { ...revision, weight: 90, pool: { size: 3, inFlight: 4, waiting: 5, ejected: 1, retries: 6, ejections: 2 } },
  ];
  let report: ReturnType<RouterNumbers['report']> = { applied: { churn: 7 }, refused: { fraud: 'a reason' } };
  const unroutable: (readonly [string, number])[] = [['churn', 8]];
  const numbers = { counted: () => counted, routed: () => routed, unroutable: () => unroutable, report: () => report };
  const { registry } = new RouterMetrics(numbers, [0.01, 0.1]);
  const labels = 'model_deployment="churn",revision="churn-a"';
  const lines = (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line !== '');
  expect(lines).toEqual([
    `router_requests_total{${labels},outcome="success"} 7`,
    `router_requests_total{${labels},outcome="error"} 3`,
    `router_requests_total{${labels},outcome="cancelled"} 6`,
    `router_mirrored_total{${labels},outcome="success"} 4`,
    `router_mirrored_total{${labels},outcome="error"} 1`,
    `router_mirrored_total{${labels},outcome="dropped"} 2`,
    `router_compared_total{${labels},agreed="true"} 3`,
    `router_compared_total{${labels},agreed="false"} 1`,
    `router_passed_over_total{${labels}} 1`,
    `router_request_latency_seconds_bucket{le="0.01",${labels}} 0`,
    `router_request_latency_seconds_bucket{le="0.1",${labels}} 2`,
    `router_request_latency_seconds_bucket{le="+Inf",${labels}} 3`,
    `router_request_latency_seconds_sum{${labels}} 0.55`,
    `router_request_latency_seconds_count{${labels}} 3`,
    `router_weight_percent{${labels}} 90`,
    `router_endpoints{${labels}} 3`,
    `router_endpoints_ejected{${labels}} 1`,
    `router_in_flight{${labels}} 4`,
    `router_queue_depth{${labels}} 5`,
    `router_retries_total{${labels}} 6`,
    `router_ejections_total{${labels}} 2`,
    'router_unroutable_total{model_deployment="churn"} 8',
    'router_applied_generation{model_deployment="churn"} 7',
    'router_routes_refused 1',
  ]);
  counted.length = 0;
  routed.length = 0;
  unroutable.length = 0;
  report = { applied: {}, refused: {} };
  const after = (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line !== '');
  expect(after).toEqual(['router_routes_refused 0']);
});
