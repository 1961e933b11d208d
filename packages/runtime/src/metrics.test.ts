import { expect } from "chai";
import { isDiscoveryError } from "@whither/protocol";
import { serveMetrics } from "./metrics-server.js";
import { createMetrics } from "./metrics.js";

describe("metrics", () => {
  it("gives counters, gauges and histograms as text, and reading resets nothing", async () => {
    const metrics = createMetrics();
    const rpcs = metrics.counter({
      name: "whither_rpcs_total",
      help: "RPCs served",
      labels: { method: ["Evaluate", "Bucket"] },
    });
    const slots = metrics.gauge({ name: "whither_zone_slots", help: "Slots" });
    const time = metrics.histogram({
      name: "whither_rpc_duration_seconds",
      help: "Duration",
      buckets: [0.01, 0.1],
    });
    rpcs.add({ method: "Evaluate" });
    rpcs.add({ method: "Evaluate" }, 4);
    slots.set({}, 12_288);
    time.observe({}, 0.05);
    const text = await metrics.text();
    expect(text).to.contain('whither_rpcs_total{method="Evaluate"} 5');
    expect(text).to.contain("whither_zone_slots 12288");
    expect(text).to.contain('whither_rpc_duration_seconds_bucket{le="0.01"} 0');
    expect(text).to.contain('whither_rpc_duration_seconds_bucket{le="0.1"} 1');
    expect(await metrics.text()).to.equal(text);
  });

  it("counts a label value outside its closed list as other", async () => {
    const metrics = createMetrics();
    const counter = metrics.counter({ name: "x_total", help: "x", labels: { code: ["OK"] } });
    counter.add({ code: "OK" });
    counter.add({ code: "made up by a peer" });
    expect(await metrics.text()).to.contain('x_total{code="other"} 1');
    expect(await metrics.text()).to.not.contain("made up");
  });

  it("keeps as many different values of an open label as it was told, no more", async () => {
    const metrics = createMetrics();
    const counter = metrics.counter({ name: "x_total", help: "x", labels: { dp: 3 } });
    for (let n = 0; n < 1_000; n += 1) counter.add({ dp: `dp-${n % 10}` });
    const series = (await metrics.text()).split("\n").filter((line) => line.startsWith("x_total{"));
    expect(series).to.have.members([
      'x_total{dp="dp-0"} 100',
      'x_total{dp="dp-1"} 100',
      'x_total{dp="dp-2"} 100',
      'x_total{dp="other"} 700',
    ]);
  });

  it("takes over totals that somebody else counts, and never lowers them", async () => {
    const metrics = createMetrics();
    const refused = metrics.counter({ name: "x_total", help: "x", labels: { limit: ["cpu"] } });
    const totals = [3, 5, 5, 2, 6];
    metrics.beforeRead(() => refused.raiseTo({ limit: "cpu" }, totals.shift() ?? 6));
    const seen: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      seen.push(/x_total\{limit="cpu"\} (\d+)/.exec(await metrics.text())?.[1] ?? "");
    }
    expect(seen).to.deep.equal(["3", "5", "5", "5", "6"]);
  });

  it("gives the same as numbers, without the buckets of histograms", async () => {
    const metrics = createMetrics();
    const up = metrics.gauge({ name: "zone_up", help: "x", labels: { zone: 4 } });
    const time = metrics.histogram({ name: "x_seconds", help: "x", buckets: [0.1] });
    up.set({ zone: "gone@dp" }, 1);
    up.clear();
    up.set({ zone: "de@dp" }, 1);
    time.observe({}, 0.5);
    time.observe({}, 0.25);
    expect(await metrics.samples()).to.deep.equal([
      { name: "zone_up", labels: { zone: "de@dp" }, value: 1 },
      { name: "x_seconds_sum", labels: {}, value: 0.75 },
      { name: "x_seconds_count", labels: {}, value: 2 },
    ]);
  });

  for (const name of [
    "whither_latency",
    "Whither_rpcs_total",
    "rpcs-total",
    "whither_latency_ms",
  ]) {
    it(`refuses the name ${name}`, () => {
      expect(() => createMetrics().counter({ name, help: "x" })).to.throw(TypeError, name);
    });
  }

  it("refuses a name twice", () => {
    const metrics = createMetrics();
    metrics.counter({ name: "x_total", help: "x" });
    expect(() => metrics.gauge({ name: "x_total", help: "x" })).to.throw(TypeError, "twice");
  });
});

describe("serveMetrics", () => {
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "metrics.example", "127.0.0.1.example"]) {
    it(`refuses to listen on ${host}`, async () => {
      const serving = serveMetrics({ host, port: 0, metrics: createMetrics() });
      const error: unknown = await serving.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isDiscoveryError(error, "CONFIG")).to.be.true;
    });
  }
});
