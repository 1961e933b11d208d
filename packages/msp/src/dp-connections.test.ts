import { expect } from "chai";
import type { ChannelEndpoint } from "@whither/directory";
import { isDiscoveryError, parseDpId, parseZoneName, type Authority } from "@whither/protocol";
import { createSimulatedClock, fixedBytes, testIdentity } from "@whither/testkit";
import { DpConnections } from "./dp-connections.js";

const endpoint = {
  host: "dp-a.example",
  port: 7354,
  publicPort: 7364,
  spkiSha256: [fixedBytes("pin")],
  jurisdiction: "",
  operator: "",
};
const authority: Authority = {
  zone: parseZoneName("de@dp-a.example"),
  dpId: parseDpId("dp-a.example"),
  kind: "mappings",
  relayOnly: false,
  manifestSha256: [fixedBytes("manifest")],
  endpoints: [endpoint],
};

/** Connections that carry nothing: what each shows, and which are closed. */
function setUp() {
  const opened: string[] = [];
  const closed: string[] = [];
  const shownBy = ({ identity }: ChannelEndpoint): string =>
    identity?.certPem === "old" ? "old" : "new";
  const connections = new DpConnections({
    openChannel: (to) => {
      opened.push(shownBy(to));
      return {
        upstream: `${to.host}:${to.port}`,
        start: () => {
          throw new TypeError("nothing is called here");
        },
        close: () => closed.push(shownBy(to)),
      };
    },
    caPem: "",
    identity: { certPem: "old", keyPem: "old key" },
    clock: createSimulatedClock(),
  });
  return { connections, opened, closed };
}

describe("connections of a registrant", () => {
  it("let calls end under the certificate that they began with, and begin others with the new", async () => {
    const { connections, opened, closed } = setUp();
    const ends: (() => void)[] = [];
    const call = (): Promise<void> =>
      connections.registrar(authority, () => new Promise<void>((resolve) => ends.push(resolve)));
    const before = [call(), call()];
    connections.replaceIdentity(testIdentity());
    const after = call();
    expect([opened, closed]).to.deep.equal([["old", "new"], []]);
    ends[0]?.();
    await before[0];
    expect(closed, "the other call is still under way").to.deep.equal([]);
    ends[1]?.();
    await before[1];
    expect(closed).to.deep.equal(["old"]);
    ends[2]?.();
    await after;
    expect(closed).to.deep.equal(["old"]);
    connections[Symbol.dispose]();
    expect(closed).to.deep.equal(["old", "new"]);
  });

  it("close what is idle at once, and with the registrant what still has calls", async () => {
    const { connections, opened, closed } = setUp();
    await connections.registrar(authority, () => Promise.resolve());
    connections.replaceIdentity(testIdentity());
    expect([opened, closed]).to.deep.equal([["old"], ["old"]]);
    void connections.registrar(authority, () => new Promise(() => undefined));
    connections.replaceIdentity(testIdentity());
    connections[Symbol.dispose]();
    expect(closed).to.deep.equal(["old", "new"]);
  });

  it("stay as they are for a certificate that is not its key's", () => {
    const { connections, closed } = setUp();
    const { certPem } = testIdentity();
    expect(() => connections.replaceIdentity({ certPem, keyPem: "none" }))
      .to.throw()
      .that.satisfies((error: unknown) => isDiscoveryError(error, "CONFIG"));
    expect(closed).to.deep.equal([]);
  });
});
