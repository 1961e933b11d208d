// Requirement 23 (MIMI Discovery requirements): all communication between clients, discovery providers and
// messaging providers is encrypted in transit and authenticated.
//
// | must | must not |
// |---|---|
// | a server show the key that the signed directory pins | be believed for its name alone |
// | who acts in its own name show a certificate: evaluate, register | be served without one |
// | what is public authenticate itself by signature and hash | ask who reads |
// | a connection be TLS 1.3 | fall back to less, or to plaintext |

import { createClient } from "@whither/rpc";
import { createFederation, fixedBytes, peerNamed, type Federation } from "@whither/testkit";
import { Directory, Discovery, Registrar, Zone } from "@whither/wire";
import { expect } from "chai";
import { bothWays, codeOf, flip, outcomeOf } from "../scenarios/both-ways.js";
import { alice, heardDuring } from "./readers.js";

const zone = "de@dp-a.example";

async function world(): Promise<Federation> {
  const federation = await createFederation();
  await federation.register({ csi: alice, msps: ["wire.example"] });
  await federation.publish();
  return federation;
}

describe("requirement 23: encrypted and authenticated", () => {
  it("serves what acts in somebody's name to certificates only, and what is public to anybody", async () => {
    await using federation = await world();
    const { clientAddress, publicAddress } = federation.dp("dp-a.example").identity;
    const { kid } = federation.zone(zone).mapping.head();
    const stranger = federation.network.connect(clientAddress, { from: "stranger" });
    const known = federation.network.connect(clientAddress, {
      from: "wire.example",
      identity: peerNamed("wire.example"),
    });
    const blinded = new Uint8Array(32);
    expect(
      await codeOf(createClient(Discovery, stranger).evaluate({ zone, kid, blinded })),
    ).to.equal("UNAUTHENTICATED");
    expect(await codeOf(createClient(Registrar, stranger).begin({ zone }))).to.equal(
      "UNAUTHENTICATED",
    );
    expect(await codeOf(createClient(Registrar, known).begin({ zone }))).to.equal("ok");
    const anybody = federation.network.connect(publicAddress, { from: "stranger" });
    expect(await codeOf(createClient(Zone, anybody).getHead({ zone }))).to.equal("ok");
    const root = federation.network.connect(federation.directoryAddress, { from: "stranger" });
    expect(await codeOf(createClient(Directory, root).refer({ prefix: "tel:" }))).to.equal("ok");
  });

  it("offers no private service on the public port, and no public one where it would tell who reads", async () => {
    await using federation = await world();
    const { clientAddress, publicAddress } = federation.dp("dp-a.example").identity;
    const anybody = federation.network.connect(publicAddress, { from: "stranger" });
    const known = federation.network.connect(clientAddress, {
      from: "wire.example",
      identity: peerNamed("wire.example"),
    });
    expect(await codeOf(createClient(Registrar, anybody).begin({ zone }))).not.to.equal("ok");
    expect(await codeOf(createClient(Discovery, anybody).evaluate({ zone }))).not.to.equal("ok");
    expect(await codeOf(createClient(Zone, known).getHead({ zone }))).not.to.equal("ok");
  });

  bothWays("a server with another key than the directory's is not spoken to", async (mirror) => {
    await using federation = await world();
    const resolver = await federation.resolver({ mirror });
    const { provider, identity } = federation.dp("dp-a.example");
    const { publicServices, clientServices } = provider;
    const { clientAddress, publicAddress } = identity;
    await federation.dp("dp-a.example").stop();
    const spkiSha256 = fixedBytes("an impostor's key");
    await using first = federation.network.serve(clientAddress, {
      services: clientServices,
      clients: { kind: "required" },
      spkiSha256,
    });
    await using second = federation.network.serve(publicAddress, {
      services: publicServices,
      clients: { kind: "none" },
      spkiSha256,
    });
    expect([first, second]).to.have.length(2);
    const heard = await heardDuring(federation, async () => {
      expect(await federation.during(outcomeOf(resolver, alice))).to.equal("PIN_MISMATCH");
    });
    const told = heard.filter(({ to, kind }) => kind === "message" && to.startsWith("dp-a."));
    expect(told, "nothing is said before the key is seen").to.deep.equal([]);
  });

  it("what is public needs no trust in who carries it: any changed octet is seen", async () => {
    await using federation = await world();
    const spoilt = [
      ["bucket", { bucket: (b) => ({ ...b, entries: flip(b.entries, 3) }) }],
      ["bodies", { bodies: (b) => ({ ...b, bodies: b.bodies.map((body) => flip(body, 40)) }) }],
      ["head", { head: (h) => ({ ...h, payload: flip(h.payload, 9) }) }],
      ["manifest", { manifest: (m) => ({ ...m, payload: flip(m.payload, 9) }) }],
    ] satisfies [string, Parameters<Federation["tamper"]>[1]][];
    for (const [what, lies] of spoilt) {
      federation.tamper("dp-a.example", lies);
      expect(await outcomeOf(await federation.resolver(), alice), what).to.equal("BOGUS");
    }
    federation.tamper("dp-a.example", undefined);
    expect(await outcomeOf(await federation.resolver(), alice)).to.equal("found wire.example");
  });
});

// TLS itself, with sockets: TLS 1.2, plaintext, a foreign CA, no certificate, a wrong pin in
// test/e2e/rpc-tls.test.ts and, against the daemons, test/e2e/federation.test.ts.
// Open: relays and tokens in place of certificates (Ask); the DNS front's loopback listener (Ask); certificates
// renewed while serving (Hold).
