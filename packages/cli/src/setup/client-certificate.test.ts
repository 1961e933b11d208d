import type { webcrypto } from "node:crypto";
import { codeOf } from "@whither/testkit";
import { expect } from "chai";
import { generateKeyPair, p256, privateKeyPem } from "../p256-keys.js";
import { x509 } from "../x509-library.js";
import { checkClientCertificate } from "./client-certificate.js";

const nowSeconds = 1_795_400_000;
const day = 86_400;

interface Holder {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly pem: string;
}

/** A certificate of this name, by an issuer or by itself. */
async function certify(options: {
  readonly name: string;
  readonly by?: Holder;
  readonly isCa?: boolean;
  readonly usages?: readonly string[];
  readonly from?: number;
  readonly to?: number;
}): Promise<Holder> {
  const {
    name,
    by,
    isCa = false,
    usages,
    from = nowSeconds - day,
    to = nowSeconds + day,
  } = options;
  const keys = await generateKeyPair();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject: `CN=${name}`,
    issuer: `CN=${by?.name ?? name}`,
    notBefore: new Date(from * 1000),
    notAfter: new Date(to * 1000),
    publicKey: keys.publicKey,
    signingKey: (by?.keys ?? keys).privateKey,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(isCa, undefined, true),
      ...(usages === undefined ? [] : [new x509.ExtendedKeyUsageExtension([...usages])]),
    ],
  });
  return { name, keys, pem: `${certificate.toString("pem")}\n` };
}

describe("the client certificate of a setup", () => {
  let ca: Holder;
  before(async () => (ca = await certify({ name: "federation", isCa: true })));

  const check = async (leaf: Holder, others: readonly Holder[] = [], key = leaf) =>
    checkClientCertificate(
      {
        certPem: [leaf, ...others].map(({ pem }) => pem).join(""),
        keyPem: await privateKeyPem(key.keys),
      },
      { caPem: [ca.pem], nowSeconds },
    );
  const failure = (...args: Parameters<typeof check>) => codeOf(() => check(...args));

  it("is taken when the federation's CA signed it for clients", async () => {
    const usages = [x509.ExtendedKeyUsage.clientAuth];
    for (const leaf of [
      await certify({ name: "anna", by: ca }),
      await certify({ name: "anna", by: ca, usages }),
    ]) {
      expect(await check(leaf)).to.deep.equal({ subject: "CN=anna", notAfter: nowSeconds + day });
    }
  });

  it("may lead there over a CA in between that its file holds", async () => {
    const between = await certify({ name: "branch", by: ca, isCa: true });
    const leaf = await certify({ name: "anna", by: between });
    expect((await check(leaf, [between])).subject).to.equal("CN=anna");
    expect(await failure(leaf)).to.equal("CONFIG");
    const noCa = await certify({ name: "branch", by: ca });
    const below = await certify({ name: "anna", by: noCa });
    expect(await failure(below, [noCa]), "a leaf signs nothing").to.equal("CONFIG");
  });

  it("is refused with somebody else's key, from somebody else's CA, or only with its name", async () => {
    const leaf = await certify({ name: "anna", by: ca });
    expect(await failure(leaf, [], ca)).to.equal("CONFIG");
    const namesake = await certify({ name: "federation", isCa: true });
    expect(await failure(await certify({ name: "anna", by: namesake }))).to.equal("CONFIG");
    expect(await failure(await certify({ name: "anna" }))).to.equal("CONFIG");
    expect(await failure({ ...leaf, pem: "" })).to.equal("CONFIG");
    expect(await failure({ ...leaf, pem: leaf.pem.replace(/M/g, "N") })).to.equal("CONFIG");
  });

  it("is refused outside its time, and when one above it has ended", async () => {
    expect(await failure(await certify({ name: "anna", by: ca, to: nowSeconds - 1 }))).to.equal(
      "EXPIRED",
    );
    expect(await failure(await certify({ name: "anna", by: ca, from: nowSeconds + 60 }))).to.equal(
      "NOT_YET_VALID",
    );
    const ended = { by: ca, isCa: true, to: nowSeconds - 1 };
    const between = await certify({ name: "branch", ...ended });
    expect(await failure(await certify({ name: "anna", by: between }), [between])).to.equal(
      "EXPIRED",
    );
  });

  it("is refused when it is for servers only", async () => {
    const usages = [x509.ExtendedKeyUsage.serverAuth];
    expect(await failure(await certify({ name: "anna", by: ca, usages }))).to.equal("CONFIG");
  });
});
