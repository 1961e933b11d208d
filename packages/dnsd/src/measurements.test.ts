import { expect } from "chai";
import { createMeasurements } from "./measurements.js";

const use = { entries: 0, bytes: 0, bytesMax: 1 };
const resolverStats = {
  bytes: 4096,
  bytesMax: 8192,
  caches: {
    ...{ answers: use, failures: use, evaluations: use, bodies: use, views: use, verdicts: use },
    buckets: { entries: 2, bytes: 4096, bytesMax: 8192 },
  },
};
const unused = (): never => {
  throw new TypeError("only figures are asked for");
};
const noCache = { dump: unused, flush: unused };

describe("dnsd measurements", () => {
  it("counts queries by transport and RCODE, and shows what the parts hold when somebody looks", async () => {
    const measurements = createMeasurements();
    const { metrics, onQuery } = measurements;
    const stats = { replies: 3, bytes: 900, hits: 2, misses: 1 };
    const refusals = { address: 1, queries: 7, lookups: 0 };
    measurements.watch({
      front: { cache: { stats: () => stats }, failures: { size: 6 }, inFlight: 4, waiters: 9 },
      limits: { refusals: () => refusals },
      resolver: {
        cache: { ...noCache, stats: () => resolverStats },
        identityNotAfter: () => 1_800_000_000,
      },
      tcpConnections: () => 5,
    });
    onQuery({
      client: "192.0.2.1",
      transport: "udp",
      rcode: 3,
      from: "cache",
      durationMs: undefined,
    });
    onQuery({ client: "192.0.2.1", transport: "tcp", rcode: 0, from: "lookup", durationMs: 20 });
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
    expect(text).to.match(/^whither_dnsd_waiting_entries 9$/m);
    expect(text).to.match(/^whither_dnsd_failure_entries 6$/m);
    expect(text).to.match(/^whither_dnsd_resolver_cache_bytes\{cache="buckets"\} 4096$/m);
    expect(text).to.match(/^whither_dnsd_certificate_not_after_seconds 1800000000$/m);
    expect(text).to.not.contain("192.0.2.1");
    expect(text).to.match(/^whither_dnsd_tcp_connections 5$/m);
    expect(text).to.match(/^whither_dnsd_refusals_total\{limit="queries"\} 7$/m);
    expect(await metrics.text(), "a look resets nothing").to.equal(text);
  });
});
