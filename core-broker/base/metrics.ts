// The only importer of the metrics library (it is 0.x). Names: dr_<module>_<thing>_<unit>.
import * as prom from '@prometheus-io/client';

const registry = new prom.Registry();

interface MetricText {
  name: string;
  help: string;
  labelNames?: string[];
}

export type Counter = prom.Counter<string>;
export type Gauge = prom.Gauge<string>;
export type Histogram = prom.Histogram<string>;

/** A count that only grows. Asking twice for one name gives the same metric. */
export function counter(text: MetricText): Counter {
  const known = registry.getSingleMetric(text.name) as Counter | undefined;
  return known ?? new prom.Counter({ ...text, registers: [registry] });
}

/** A value read at scrape time by `collect`, or set by its owner. */
export function gauge(text: MetricText & { collect?: (self: Gauge) => void }): Gauge {
  const known = registry.getSingleMetric(text.name) as Gauge | undefined;
  if (known) return known;
  const { collect, ...rest } = text;
  const made: Gauge = new prom.Gauge({
    ...rest,
    registers: [registry],
    ...(collect ? { collect: () => collect(made) } : {}),
  });
  return made;
}

/** A distribution; `buckets` in the unit of the name. */
export function histogram(text: MetricText & { buckets: number[] }): Histogram {
  const known = registry.getSingleMetric(text.name) as Histogram | undefined;
  return known ?? new prom.Histogram({ ...text, registers: [registry] });
}

/** One bound of a distribution and how many values so far were not above it. */
export interface BucketCount {
  upTo: number;
  count: number;
}

/** Cumulative counts of a histogram, smallest bound first, +Infinity last; empty when nobody made it. */
export async function readHistogram(name: string): Promise<BucketCount[]> {
  const metric = await (registry.getSingleMetric(name) as Histogram | undefined)?.get();
  const buckets = (metric?.values ?? []).filter((value) => value.metricName === `${name}_bucket`);
  return buckets.map(({ labels, value }) => ({ upTo: boundOf(labels['le']), count: value }));
}

const boundOf = (le: string | number | undefined): number =>
  le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);

/** Exposition text for GET /metrics. */
export const renderMetrics = (): Promise<string> => registry.metrics();
export const METRICS_CONTENT_TYPE: string = registry.contentType;
