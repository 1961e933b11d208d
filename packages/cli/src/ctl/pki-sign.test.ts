import { webcrypto, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { writeRequest } from "../setup/certificate-request.js";
import type { Terminal } from "../terminal.js";
import { x509 } from "../x509-library.js";
import { runWhitherctl } from "./program.js";

type Algorithm = (webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams) & {
  readonly hash: string;
};

describe("whitherctl pki sign", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "whither-sign-"));
    await whitherctl("pki", "init", "--dir", at("pki"));
  });
  after(() => rm(directory, { recursive: true }));

  const at = (name: string): string => join(directory, name);
  const sign = (request: string, ...more: readonly string[]) =>
    whitherctl("pki", "sign", request, "--dir", at("pki"), "--out", at("out.pem"), ...more);
  const requestWith = async (algorithm: Algorithm, san?: string): Promise<string> => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const names = new x509.SubjectAlternativeNameExtension([{ type: "dns", value: san ?? "x" }]);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: "CN=dp-a.example",
      keys,
      signingAlgorithm: algorithm,
      extensions: [names],
    });
    await writeFile(at("made.csr"), request.toString("pem"));
    return at("made.csr");
  };
  const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

  it("certifies the requester's key for clients, under the name that the operator says", async () => {
    const { request, key } = await writeRequest(directory, "anna");
    const done = await sign(request, "--name", "anna.example", "--san", "192.0.2.7");
    expect(done.status, done.stderr).to.equal(0);
    expect(done.stdout).to.match(/^sha256:[\w-]{43}\n$/);
    const certificate = new X509Certificate(await readFile(at("out.pem")));
    const authority = new X509Certificate(await readFile(join(at("pki"), "ca.pem")));
    expect(certificate.verify(authority.publicKey)).to.be.true;
    expect(certificate.subject).to.equal("CN=anna.example");
    expect(certificate.subjectAltName).to.equal("DNS:anna.example, IP Address:192.0.2.7");
    expect(certificate.keyUsage, "id-kp-clientAuth alone").to.deep.equal(["1.3.6.1.5.5.7.3.2"]);
    const pem = await readFile(key, "utf8");
    expect(pem).to.contain("PRIVATE KEY");
    expect(await readFile(request, "utf8")).not.to.contain("PRIVATE KEY");
  });

  it("takes no name from the request: nobody gets a server's by asking for it", async () => {
    const request = await requestWith(p256, "dp-a.example");
    expect((await sign(request, "--name", "anna.example")).status).to.equal(0);
    const certificate = new X509Certificate(await readFile(at("out.pem")));
    expect(`${certificate.subject} ${certificate.subjectAltName}`).not.to.contain("dp-a.example");
    expect((await sign(request)).status, "the operator has to name it").to.equal(2);
  });

  it("refuses keys of another kind, and requests that their key has not signed", async () => {
    const others = [
      { ...p256, namedCurve: "P-384", hash: "SHA-384" },
      {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: 2048,
        publicExponent: Uint8Array.of(1, 0, 1),
        hash: "SHA-256",
      },
    ];
    for (const algorithm of others) {
      const done = await sign(await requestWith(algorithm), "--name", "anna.example");
      expect([done.status, done.stderr.split("\n")[0]]).to.deep.equal([
        1,
        "error: CONFIG (49161): request: expected a P-256 key",
      ]);
    }
    const der = x509.PemConverter.decodeFirst(await readFile(await requestWith(p256), "utf8"));
    const bytes = new Uint8Array(der);
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    const forged = x509.PemConverter.encode(bytes, "CERTIFICATE REQUEST");
    await writeFile(at("forged.csr"), forged);
    const done = await sign(at("forged.csr"), "--name", "anna.example");
    expect(done.stderr).to.contain("request: its own key has not signed it");
    expect(done.status).to.equal(1);
  });
});

async function whitherctl(...args: readonly string[]) {
  let stdout = "";
  let stderr = "";
  const terminal: Terminal = {
    stdin: (async function* () {
      // nothing is read from it
    })(),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env: {},
    signal: new AbortController().signal,
  };
  const status = await runWhitherctl({ args, terminal });
  return { status, stdout, stderr };
}
