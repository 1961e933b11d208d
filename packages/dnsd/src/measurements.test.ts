import { expect } from "chai";
import { createMeasurements } from "./measurements.js";

describe("dnsd measurements", () => {
  it("counts queries by transport and RCODE, and shows what the parts hold when somebody looks", async () => {
    const measurements = createMeasurements();
    const { metrics, onQuery } = measurements;
    const stats = { replies: 3, bytes: 900, hits: 2, misses: 1 };
    const refusals = { address: 1, queries: 7, lookups: 0 };
    measurements.watch({
      front: { cache: { stats: () => stats }, inFlight: 4 },
      limits: { refusals: () => refusals },
      tcpConnections: () => 5,
    });
    onQuery({ transport: "udp", rcode: 3, from: "cache", durationMs: undefined });
    onQuery({ transport: "tcp", rcode: 0, from: "lookup", durationMs: 20 });
    const text = await metrics.text();
    expect(text).to.include(
      'whither_dnsd_queries_total{transport="udp",rcode="NXDOMAIN",from="cache"} 1',
    );
    expect(text).to.include(
      'whither_dnsd_queries_total{transport="tcp",rcode="NOERROR",from="lookup"} 1',
    );
    expect(text).to.include(
      'whither_dnsd_lookup_duration_seconds_count{transport="tcp",rcode="NOERROR"} 1',
    );
    expect(text).to.match(/^whither_dnsd_cache_entries 3$/m);
    expect(text).to.match(/^whither_dnsd_lookup_entries 4$/m);
    expect(text).to.match(/^whither_dnsd_tcp_connections 5$/m);
    expect(text).to.match(/^whither_dnsd_refusals_total\{limit="queries"\} 7$/m);
    expect(await metrics.text(), "a look resets nothing").to.equal(text);
  });
});
