// A mapping zone played from a script on the memory network: honest by default, with a knob for every lie
// a DP could tell. Test support; its own tests are the ones that use it.

import { loadSodiumVoprf } from "@whither/crypto/node";
import { joinElements, splitElements, type Voprf } from "@whither/crypto";
import { ManifestMemory, type DirectoryFollower } from "@whither/directory";
import {
  DiscoveryError,
  roles,
  type Authority,
  type Csi,
  type ErrorCode,
  type Head,
} from "@whither/protocol";
import { parsePrefix, parseZoneName, type SignedObject } from "@whither/protocol";
import {
  createMemoryNetwork,
  implementService,
  notAvailable,
  toErrorDetail,
  type MemoryNetwork,
  type ServerDuplex,
} from "@whither/rpc";
import { createInlineVoprf, type Random } from "@whither/runtime";
import {
  createSeededRandom,
  createSimulatedClock,
  fixedBytes,
  makeRegistrationParties,
  makeSlot,
  type RegistrationParties,
  type SimulatedClock,
} from "@whither/testkit";
import {
  Discovery,
  encodeHead,
  encodeManifest,
  signedObjectToWire,
  Zone,
  type BodiesResponse,
  type BucketResponse,
  type EvaluateResponse,
  type ExchangeRequest,
  type FetchRequest,
  type FetchResponse,
} from "@whither/wire";
import {
  bucketIndex,
  createRegistry,
  depthFor,
  encodeEntry,
  maskMspBits,
  mspBitsOf,
  nodeVerifier,
  padEntries,
  payloadSha256,
  rebuildTree,
  sealPublicSlot,
  signObject,
  slotIndex,
  slotInput,
  sortEntries,
  type Delegation,
  type Registry,
  type SignatureVerifier,
} from "@whither/zone";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ExchangeResponseSchema,
  FetchResponseSchema,
  ZoneWatchResponseSchema,
} from "@whither/wire";
import { assembleResolver } from "./assemble.js";
import { ChoiceMemory } from "./choice-memory.js";
import { EvidenceFile } from "./evidence.js";
import { asError } from "./failure.js";
import { HeadMemory } from "./head-memory.js";
import { Peers } from "./peers.js";
import type { Resolver } from "./resolver.js";
import type { Replica } from "./zone-view.js";

export interface ScriptedContact {
  readonly csi: Csi;
  readonly plaintext: Uint8Array;
  /** Positions that the DP masks into the entry. */
  readonly bits: readonly number[];
}

/** What of a message is replaced before it is sent. */
export interface Lies {
  bucket?: (response: BucketResponse) => BucketResponse;
  bodies?: (response: BodiesResponse) => BodiesResponse;
  evaluate?: (response: EvaluateResponse) => EvaluateResponse;
  head?: (head: Head) => Head;
  manifest?: (payload: Uint8Array) => Uint8Array;
  /** Instead of an answer. */
  fail?: (kind: FetchRequest["request"]["case"] | "evaluate") => DiscoveryError | undefined;
  /** Streams of Watch; there is no Watch unless given. */
  watch?: (signal: AbortSignal) => AsyncIterable<MessageInitShape<typeof ZoneWatchResponseSchema>>;
  /** Never answers. */
  silent?: (kind: FetchRequest["request"]["case"] | "evaluate") => boolean;
}

export interface ScriptedZoneOptions {
  readonly parties?: RegistrationParties;
  readonly contacts: readonly ScriptedContact[];
  /** Entries nobody opens. */
  readonly fillers?: number;
  readonly random?: Random;
  readonly host?: string;
}

export const voprf: Voprf = await loadSodiumVoprf();

interface Slot {
  readonly entry: Uint8Array;
  readonly idx: Uint8Array;
}

export class ScriptedZone {
  readonly parties: RegistrationParties;
  readonly lies: Lies = {};
  /** Payloads of manifests that are announced and not in use yet; served with the parties' signature. */
  readonly successors: Uint8Array[] = [];
  /** Whether successors go without that signature. */
  unsignedSuccessors = false;
  /** Requests in the order they came: what the DP could write down. */
  readonly asked: {
    readonly kind: string;
    readonly n: number;
    readonly at: "identified" | "anonymous";
  }[] = [];
  readonly host: string;
  readonly #slots: Slot[] = [];
  readonly #bodies = new Map<string, Uint8Array>();
  #tree: ReturnType<typeof treeOf>;
  #head: Head;
  #signed: SignedObject;

  constructor(options: ScriptedZoneOptions) {
    const { contacts, fillers = 0, random = createSeededRandom(7) } = options;
    this.parties = options.parties ?? makeRegistrationParties();
    this.host = options.host ?? "dp-a.example";
    for (const contact of contacts) this.#place(contact, random);
    for (let i = 0; i < fillers; i++) this.#fill(random);
    this.#tree = treeOf(this);
    this.#head = this.#makeHead(undefined, this.parties.nowSeconds);
    this.#signed = this.#sign(this.#head);
  }

  get kid(): Uint8Array {
    return this.parties.manifest.voprfKeys[0]!.kid;
  }
  get slots(): readonly Slot[] {
    return this.#slots;
  }
  get head(): Head {
    return this.#head;
  }
  get signedHead(): SignedObject {
    return this.#signed;
  }

  /** Publishes a new epoch, with further contacts. */
  publish(
    nowSeconds: number,
    contacts: readonly ScriptedContact[] = [],
    changes: Partial<Head> = {},
  ): void {
    for (const contact of contacts) this.#place(contact, createSeededRandom(nowSeconds));
    this.#tree = treeOf(this);
    this.#head = { ...this.#makeHead(this.#signed, nowSeconds), ...changes };
    this.#signed = this.#sign(this.#head);
  }

  /** More entries nobody opens; `publish` shows them. */
  grow(fillers: number): void {
    const random = createSeededRandom(fillers);
    for (let i = 0; i < fillers; i++) this.#fill(random);
  }

  /** Forgets every body that was there so far. */
  dropBodies(): void {
    const random = createSeededRandom(11);
    const count = this.#slots.length;
    this.#bodies.clear();
    this.#slots.length = 0;
    for (let i = 0; i < count; i++) this.#fill(random);
  }

  /** Takes a slot out; `publish` shows it. */
  remove(csi: Csi): void {
    const { zone, voprfKeys } = this.parties;
    const y = voprf.evaluate(voprfKeys.secretKey, slotInput(csi));
    const idx = slotIndex({ y, zone, kid: this.kid });
    this.#slots.splice(
      this.#slots.findIndex((slot) => Buffer.compare(slot.idx, idx) === 0),
      1,
    );
  }

  /** Serves a head again that was published before. */
  serveAgain(head: Head, signed: SignedObject): void {
    this.#head = head;
    this.#signed = signed;
  }

  sign(head: Head): SignedObject {
    return this.#sign(head);
  }

  authority(changes: Partial<Authority> = {}): Authority {
    const { zone, dp, manifestSha256 } = this.parties;
    return {
      zone,
      dpId: dp.id,
      kind: "mappings",
      relayOnly: false,
      manifestSha256: [manifestSha256],
      endpoints: [
        {
          host: this.host,
          port: 7354,
          publicPort: 7364,
          spkiSha256: [fixedBytes("spki")],
          jurisdiction: "",
          operator: "",
        },
      ],
      ...changes,
    };
  }

  serve(network: MemoryNetwork, host = this.host): void {
    network.serve(`${host}:7354`, {
      clients: { kind: "required" },
      services: [
        implementService(Discovery, {
          exchange: {
            callback: (_context, stream) => {
              stream.onMessage((request) => this.#exchange(request, stream));
            },
          },
          evaluate: notAvailable,
        }),
      ],
    });
    network.serve(`${host}:7364`, {
      clients: { kind: "none" },
      services: [
        implementService(Zone, {
          transfer: notAvailable,
          watch: (_request, { signal }) => {
            const { watch } = this.lies;
            if (watch === undefined) throw new DiscoveryError("NOT_AVAILABLE", "no Watch here");
            return watch(signal);
          },
          fetch: {
            callback: (_context, stream) => {
              stream.onMessage((request) => this.#fetch(request, stream));
            },
          },
          bucket: notAvailable,
          bodies: notAvailable,
          getHead: notAvailable,
          getManifest: notAvailable,
        }),
      ],
    });
  }

  #exchange(
    { id, request }: ExchangeRequest,
    stream: ServerDuplex<
      ExchangeRequest,
      MessageInitShape<typeof ExchangeResponseSchema> | Uint8Array
    >,
  ): void {
    if (request.case === undefined) return;
    const blinded = splitElements(request.value.blinded);
    this.asked.push({ kind: "evaluate", n: blinded.length, at: "identified" });
    if (this.lies.silent?.("evaluate") === true) return;
    const failure = this.lies.fail?.("evaluate");
    if (failure !== undefined) {
      stream.send({ id, response: { case: "error", value: toErrorDetail(failure) } });
      return;
    }
    const { evaluated, proof } = voprf.evaluateBlinded({
      ...this.parties.voprfKeys,
      blinded,
      randomBytes: (n) => seeded.bytes(n),
    });
    const value = { evaluated: joinElements(evaluated), proof } as EvaluateResponse;
    stream.send({
      id,
      response: { case: "evaluate", value: this.lies.evaluate?.(value) ?? value },
    });
  }

  #fetch(
    { id, request }: FetchRequest,
    stream: ServerDuplex<FetchRequest, MessageInitShape<typeof FetchResponseSchema> | Uint8Array>,
  ): void {
    const n = request.case === "bodies" ? request.value.vhashes.length / 32 : 1;
    this.asked.push({ kind: request.case ?? "nothing", n, at: "anonymous" });
    if (this.lies.silent?.(request.case) === true) return;
    const failure = this.lies.fail?.(request.case);
    const response =
      failure === undefined
        ? this.#answer(request)
        : { case: "error", value: toErrorDetail(failure) };
    stream.send({ id, response } as MessageInitShape<typeof FetchResponseSchema>);
  }

  #answer(request: FetchRequest["request"]): FetchResponse["response"] {
    const head = signedObjectToWire(this.#signed);
    const error = (code: "DEPTH_CHANGED" | "UNKNOWN_BODY" | "UNKNOWN_KID") =>
      ({ case: "error", value: toErrorDetail(new DiscoveryError(code, "scripted")) }) as const;
    switch (request.case) {
      case "head":
        return { case: "head", value: { head } as never };
      case "manifest": {
        const { manifestSha256 } = request.value;
        const announced = this.successors.find(
          (one) =>
            Buffer.compare(payloadSha256({ payload: one, signatures: [] }), manifestSha256) === 0,
        );
        const payload = announced ?? encodeManifest(this.parties.manifest);
        const object = this.#succession(this.lies.manifest?.(payload) ?? payload, announced);
        return { case: "manifest", value: { manifest: signedObjectToWire(object) } as never };
      }
      case "bucket": {
        const { b, prefix, kid } = request.value;
        if (Buffer.compare(kid, this.kid) !== 0) return error("UNKNOWN_KID");
        if (b !== this.#head.b) return error("DEPTH_CHANGED");
        const index = bucketIndex(prefix, b);
        const entries = this.#tree.buckets[index] ?? new Uint8Array();
        const value = {
          count: entries.length / 68,
          entries: padEntries(entries, this.#head.pad),
          siblings: this.#tree.tree.path(index),
          head,
        } as BucketResponse;
        return { case: "bucket", value: this.lies.bucket?.(value) ?? value };
      }
      case "bodies": {
        const bodies: Uint8Array[] = [];
        for (let at = 0; at < request.value.vhashes.length; at += 32) {
          const body = this.#bodies.get(hex(request.value.vhashes.subarray(at, at + 32)));
          if (body === undefined) return error("UNKNOWN_BODY");
          bodies.push(body);
        }
        const value = { bodies } as BodiesResponse;
        return { case: "bodies", value: this.lies.bodies?.(value) ?? value };
      }
      case undefined:
        throw new TypeError("a request without content");
    }
  }

  #succession(payload: Uint8Array, announced: Uint8Array | undefined): SignedObject {
    const { zone, zoneSigner: signer } = this.parties;
    if (announced === undefined || this.unsignedSuccessors) return { payload, signatures: [] };
    return signObject({ type: "manifest", role: roles.zone, zone, payload, signer });
  }

  #place({ csi, plaintext, bits }: ScriptedContact, random: Random): void {
    const { zone, voprfKeys } = this.parties;
    const { kid } = this;
    const y = voprf.evaluate(voprfKeys.secretKey, slotInput(csi));
    const idx = slotIndex({ y, zone, kid });
    const { body, vhash } = sealPublicSlot({
      y,
      zone,
      kid,
      idx,
      plaintext,
      nonce: random.bytes(12),
    });
    const masked = maskMspBits({ secret: y, vhash, registryVersion: 1, bits: mspBitsOf(bits) });
    const old = this.#slots.findIndex((slot) => Buffer.compare(slot.idx, idx) === 0);
    if (old >= 0) this.#slots.splice(old, 1);
    this.#bodies.set(hex(vhash), body);
    this.#slots.push({ idx, entry: encodeEntry({ idx, since: 1, masked, vhash }) });
  }

  #fill(random: Random): void {
    const [idx, masked, body] = [random.bytes(16), random.bytes(12), random.bytes(64)] as const;
    const vhash = payloadSha256({ payload: body, signatures: [] });
    this.#bodies.set(hex(vhash), body);
    this.#slots.push({ idx, entry: encodeEntry({ idx, since: 1, masked, vhash }) });
  }

  #makeHead(before: SignedObject | undefined, time: number): Head {
    const { zone, manifestSha256 } = this.parties;
    const { tree, buckets } = this.#tree;
    const largest = Math.max(0, ...buckets.map((entries) => entries.length));
    return {
      zone,
      epoch: 1,
      serial: before === undefined ? 1 : this.#head.serial + 1,
      mapRoot: tree.root(),
      mapSize: this.#slots.length,
      kid: this.kid,
      b: tree.b,
      pad: Math.ceil(largest / 4096) * 4096,
      manifestSha256,
      changesRoot: fixedBytes("changes"),
      time,
      prevSha256: before === undefined ? new Uint8Array(32) : payloadSha256(before),
      notAfter: time + 1800,
    };
  }

  #sign(head: Head): SignedObject {
    const payload = encodeHead(this.lies.head?.(head) ?? head);
    const { zone, zoneSigner } = this.parties;
    return signObject({ type: "head", role: roles.zone, zone, payload, signer: zoneSigner });
  }
}

const seeded = createSeededRandom(99);

function treeOf(zone: ScriptedZone) {
  const b = depthFor(zone.slots.length);
  const groups = new Map<number, Uint8Array[]>();
  for (const { idx, entry } of zone.slots) {
    const index = bucketIndex(idx, b);
    groups.set(index, [...(groups.get(index) ?? []), entry]);
  }
  const buckets = Array.from({ length: 2 ** b }, (_, i) => sortEntries(groups.get(i) ?? []));
  const work = rebuildTree({
    zone: zone.parties.zone,
    kid: zone.kid,
    b,
    buckets: buckets.map((entries, index) => ({ index, entries })),
  });
  let step = work.next();
  while (step.done !== true) step = work.next();
  return { tree: step.value, buckets };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A valid slot of the parties' CSI, or of another one, with one or two MSPs. */
export function contactOf(
  parties: RegistrationParties,
  knobs: Parameters<typeof makeSlot>[1] & { readonly bits?: readonly number[] } = {},
): ScriptedContact {
  const { csi } = parties;
  const bits = knobs.bits ?? (knobs.count === 2 ? [0, 5] : [0]);
  return { csi, plaintext: makeSlot(parties, knobs).plaintext, bits };
}

export interface ScriptedWorld {
  readonly clock: SimulatedClock;
  readonly network: MemoryNetwork;
  readonly resolver: Resolver;
  readonly delegations: { count: number; referrals: number };
  /** Another resolver with the same files, as after a restart. */
  readonly again: () => Promise<Resolver>;
}

export interface ScriptedWorldOptions {
  readonly zones: readonly ScriptedZone[];
  readonly authorities?: readonly Authority[];
  readonly registry?: Registry;
  readonly delegation?: Partial<Delegation>;
  readonly statePath?: string;
  readonly identity?: false;
  readonly ownMsp?: string;
  readonly replicas?: readonly Replica[];
  readonly seed?: number;
  readonly verifier?: SignatureVerifier;
  readonly watch?: boolean;
  /** What finding a delegation costs each time, as walking does; 0 unless told. */
  readonly referrals?: number;
  /** 4 MiB unless told. */
  readonly cacheBytes?: number;
}

/** A resolver whose directory delegates everything to these zones. */
export async function scriptedWorld(options: ScriptedWorldOptions): Promise<ScriptedWorld> {
  const { zones, statePath, seed = 1 } = options;
  const { nowSeconds } = zones[0]!.parties;
  const clock = createSimulatedClock({ startMs: nowSeconds * 1_000 });
  const random = createSeededRandom(seed);
  const network = createMemoryNetwork({ clock, random });
  for (const zone of zones) zone.serve(network);
  const delegations = { count: 0, referrals: 0 };
  const { msps, prover } = zones[0]!.parties;
  const registry =
    options.registry ??
    createRegistry([...zones.map((zone) => zone.parties.dp), ...msps, prover], 1);
  const delegation: Delegation = {
    zone: parseZoneName("."),
    prefix: parsePrefix("tel:+1"),
    disposition: "delegated",
    authorities: options.authorities ?? zones.map((zone) => zone.authority()),
    ttlSeconds: 3600,
    notBefore: nowSeconds - 60,
    notAfter: nowSeconds + 86_400,
    serial: 7,
    relayOnly: false,
    path: [parsePrefix("."), parsePrefix("tel:"), parsePrefix("tel:+1")],
    ...options.delegation,
  };
  const nothing = () => Promise.resolve();
  const follower: DirectoryFollower = {
    delegation: (_csi, { spend } = {}) => {
      delegations.count += 1;
      for (let n = 0; n < (options.referrals ?? 0); n++) {
        try {
          spend?.("referral", 1);
          spend?.("rpc", 1);
          delegations.referrals += 1;
          spend?.("verification", 4);
        } catch (error) {
          return Promise.reject(asError(error));
        }
      }
      return Promise.resolve(delegation);
    },
    registry: () => Promise.resolve(registry),
    current: () => undefined,
    refresh: nothing,
    close: nothing,
    [Symbol.asyncDispose]: nothing,
  };
  const make = async (): Promise<Resolver> => {
    const file = (name: string) => (statePath === undefined ? undefined : `${statePath}/${name}`);
    const secret = fixedBytes("local secret");
    const evidence = await EvidenceFile.open({ path: file("evidence.json"), clock });
    const engine = createInlineVoprf(voprf, random);
    const identity = { certPem: "cert", keyPem: "key" };
    const peer = {
      kind: "certificate",
      spkiSha256: fixedBytes("client"),
      names: ["wire.example"],
      certificateDer: new Uint8Array(),
    } as const;
    return assembleResolver({
      follower,
      peers: new Peers({
        openChannel: ({ host, port, identity: given }) =>
          network.connect(`${host}:${port}`, given === undefined ? {} : { identity: peer }),
        caPem: "",
        identity: options.identity === false ? undefined : identity,
        clock,
        random,
      }),
      pool: engine,
      inline: engine,
      closeEngines: nothing,
      verifier: options.verifier ?? nodeVerifier,
      clock,
      random,
      secret,
      evidence,
      memory: await HeadMemory.open({ path: file("heads.json"), clock, evidence }),
      manifests: await ManifestMemory.open({
        path: file("manifests.json"),
        clock,
        ksks: () => ({ keys: [], threshold: 1 }),
      }),
      choices: await ChoiceMemory.open({ path: file("choices.json"), clock, secret }),
      cacheBytes: options.cacheBytes ?? 4 * 1024 * 1024,
      ownMsp: options.ownMsp,
      watch: options.watch ?? false,
      replicas: options.replicas ?? [],
    });
  };
  return { clock, network, resolver: await make(), delegations, again: make };
}

/** The code of the DiscoveryError that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | "ok"> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (error instanceof DiscoveryError) return error.code;
    throw error;
  }
}
