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

/** Exposition text for GET /metrics. */
export const renderMetrics = (): Promise<string> => registry.metrics();
export const METRICS_CONTENT_TYPE: string = registry.contentType;
