// Metrics in the Prometheus text format, over prom-client: counters, gauges, histograms whose labels
// are bounded, so that no peer can grow the registry. Nothing global; a daemon makes one registry.
import {
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from "prom-client";
import type { MetricObjectWithValues, MetricValue } from "prom-client";

/** For each label its closed list of values, or how many different ones are kept; the rest is `other`. */
export type LabelBounds = Readonly<Record<string, readonly string[] | number>>;
/** A metric without labels. */
export type NoLabels = Readonly<Record<string, never>>;
type LabelsOf<L extends LabelBounds> = { readonly [name in keyof L]: string };

export interface MetricOptions<L extends LabelBounds> {
  /** Lower case with the unit last: `whither_rpc_duration_seconds`, `whither_rpcs_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: L;
}

export interface HistogramOptions<L extends LabelBounds> extends MetricOptions<L> {
  /** Upper bounds of the buckets, ascending, in the metric's unit. */
  readonly buckets: readonly number[];
}

export interface Counter<L extends LabelBounds> {
  /** Adds 1, or `amount` ≥ 0. */
  add(labels: LabelsOf<L>, amount?: number): void;
  /** Takes over a total that somebody else counts. A lower one than before changes nothing. */
  raiseTo(labels: LabelsOf<L>, total: number): void;
}

export interface Gauge<L extends LabelBounds> {
  set(labels: LabelsOf<L>, value: number): void;
  /** Forgets all values: what is not set again is not shown any more. */
  clear(): void;
}

/** One number of a metric; of a histogram its `_count` and `_sum`. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Histogram<L extends LabelBounds> {
  observe(labels: LabelsOf<L>, value: number): void;
}

export interface Metrics {
  counter<const L extends LabelBounds = NoLabels>(options: MetricOptions<L>): Counter<L>;
  gauge<const L extends LabelBounds = NoLabels>(options: MetricOptions<L>): Gauge<L>;
  histogram<const L extends LabelBounds = NoLabels>(options: HistogramOptions<L>): Histogram<L>;
  /** Runs before every reading, to set what is only known by looking. */
  beforeRead(fn: () => void): void;
  /** Everything in the text exposition format. Reading resets nothing. */
  text(): Promise<string>;
  /** The same as numbers, histograms without their buckets. */
  samples(): Promise<readonly MetricSample[]>;
  readonly contentType: string;
}

const namePattern =
  /^[a-z][a-z0-9_]*_(total|seconds|bytes|ratio|slots|serial|entries|connections|elements|zones|up|info)$/;

/** A fresh registry. A name twice, without unit, or a label value list that is empty: TypeError. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const common = (options: MetricOptions<LabelBounds>) => {
    const { name, help, labels = {} } = options;
    if (!namePattern.test(name)) throw new TypeError(`metric ${name}: expected a unit at the end`);
    if (registry.getSingleMetric(name) !== undefined) {
      throw new TypeError(`metric ${name}: made twice`);
    }
    return { name, help, labelNames: Object.keys(labels), registers: [registry] };
  };
  const readers: (() => void)[] = [];
  const look = (): void => {
    for (const reader of readers) reader();
  };
  return {
    counter: (options) => {
      const metric = new PromCounter(common(options));
      const bound = boundLabels(options.labels ?? {});
      const totals = new Map<string, number>(); // as many as there are label values
      return {
        add: (labels, amount = 1) => metric.inc(bound(labels), amount),
        raiseTo: (labels, total) => {
          const values = bound(labels);
          const key = JSON.stringify(values);
          const before = totals.get(key) ?? 0;
          if (total < before) return;
          totals.set(key, total);
          metric.inc(values, total - before);
        },
      };
    },
    gauge: (options) => {
      const metric = new PromGauge(common(options));
      const bound = boundLabels(options.labels ?? {});
      return {
        set: (labels, value) => metric.set(bound(labels), value),
        clear: () => metric.reset(),
      };
    },
    histogram: (options) => {
      const metric = new PromHistogram({ ...common(options), buckets: [...options.buckets] });
      const bound = boundLabels(options.labels ?? {});
      return { observe: (labels, value) => metric.observe(bound(labels), value) };
    },
    beforeRead: (fn) => void readers.push(fn),
    text: () => {
      look();
      return registry.metrics();
    },
    samples: async () => {
      look();
      return (await registry.getMetricsAsJSON()).flatMap(samplesOf);
    },
    contentType: registry.contentType,
  };
}

function samplesOf({ name, values }: MetricObjectWithValues<MetricValue<string>>): MetricSample[] {
  return values.flatMap((one) => {
    const own = "metricName" in one && typeof one.metricName === "string" ? one.metricName : name;
    if (own.endsWith("_bucket")) return [];
    const labels = Object.entries(one.labels).map(([label, value]): readonly [string, string] => [
      label,
      String(value),
    ]);
    return [{ name: own, labels: Object.fromEntries(labels), value: one.value }];
  });
}

function boundLabels(
  bounds: LabelBounds,
): (labels: Readonly<Record<string, string>>) => Record<string, string> {
  const allowed = Object.entries(bounds).map(([name, bound]) => ({
    name,
    values: new Set(typeof bound === "number" ? [] : bound),
    room: typeof bound === "number" ? bound : 0,
  }));
  return (labels) => {
    const result: Record<string, string> = {};
    for (const { name, values, room } of allowed) {
      const value = labels[name] ?? "other";
      if (!values.has(value) && values.size < room) values.add(value);
      result[name] = values.has(value) ? value : "other";
    }
    return result;
  };
}
