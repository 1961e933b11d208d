// People for a federation of real processes: holder keys, credentials and registrations, made with the
// project's own commands.

import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { clientYaml, type FederationFiles } from "./federation.js";
import { runOk, whitherctlInProcess } from "./processes.js";

export interface Person {
  /** Canonical. */
  readonly csi: string;
  /** In the holder's order. */
  readonly msps: readonly { readonly id: string; readonly tags?: readonly string[] }[];
}

/** Paths of what a person holds. */
interface HolderFiles {
  readonly holderKey: string;
  readonly credential: string;
}

/** A holder key, and a credential for it from the federation's prover. `name` is free in the federation. */
async function equipHolder(
  files: FederationFiles,
  { csi, name }: { readonly csi: string; readonly name: string },
): Promise<HolderFiles> {
  const holderKey = files.path("holders", `${name}.pem`);
  const credential = files.path("holders", `${name}.credential.json`);
  const keyArgs = ["key", "generate", "--type", "holder", "--out", holderKey];
  const publicKey = (await whitherctlInProcess(keyArgs)).trim();
  await whitherctlInProcess([
    ...["credential", "issue", "--prover-key", files.proverKey, "--prover", files.proverId],
    ...["--csi", csi, "--holder", publicKey, "--method", "sms", "--out", credential],
  ]);
  return { holderKey, credential };
}

/** Makes the person known to the MSPs: a provider vouches only for its own accounts. */
async function openAccounts(files: FederationFiles, person: Person): Promise<void> {
  for (const { id } of person.msps) {
    await appendFile(files.accounts(id), `${JSON.stringify(person.csi)}\n`);
  }
}

/** Registers people as one batch of `whither register` and waits until all are published. */
export async function registerPeople(
  files: FederationFiles,
  people: readonly Person[],
): Promise<void> {
  const lines: string[] = [];
  for (const person of people) {
    await openAccounts(files, person);
    const held = await equipHolder(files, { csi: person.csi, name: fileNameOf(person.csi) });
    lines.push(
      JSON.stringify({
        credential: held.credential,
        holder_key_file: held.holderKey,
        msps: person.msps.map((msp, preference) => ({ ...msp, preference })),
      }),
    );
  }
  const batch = files.path(`people-${fileNameOf(people[0]?.csi ?? "")}.jsonl`);
  await writeFile(batch, `${lines.join("\n")}\n`);
  await runOk("whither", ["register", "--config", files.clientConfig, "--batch", batch, "--wait"]);
}

const fileNameOf = (csi: string): string => csi.replaceAll(/[^a-z0-9.@+]/gi, "-");

/** A client configuration of its own, state included: nothing is cached or mirrored from before. */
export async function freshClient(
  files: FederationFiles,
  name: string,
  change: (yaml: string) => string = (yaml) => yaml,
): Promise<string> {
  const asMsp = files.plan.msps[0]?.id ?? "";
  const path = join(files.directory, `client-${name}.yaml`);
  await writeFile(path, change(clientYaml({ files, asMsp, state: `client-${name}.state` })));
  return path;
}
