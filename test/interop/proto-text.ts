// A protobuf reader and writer for one page of code: it learns field numbers from the text of our .proto
// files and knows none of our generated code. Deliberately small: what whither.v1 uses and no more.

import { readFileSync } from "node:fs";

export type Value = string | number | boolean | Value[] | Message;
export interface Message {
  [field: string]: Value;
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly isRepeated: boolean;
  readonly isInOneof: boolean;
}

const varintTypes = new Set(["uint32", "uint64", "bool"]);
const fixed32Type = "fixed32";

/** Messages and enums of some .proto files, by name. */
export class ProtoText {
  readonly #messages = new Map<string, ReadonlyMap<number, Field>>();
  readonly #enums = new Map<string, ReadonlyMap<number, string>>();

  constructor(files: readonly URL[]) {
    for (const file of files) {
      const text = readFileSync(file, "utf8").replaceAll(/\/\/.*$/gm, "");
      for (const [, name, body] of text.matchAll(/^message (\w+) \{(.*?)^\}/gms)) {
        this.#messages.set(name!, readFields(body!));
      }
      for (const [, name, body] of text.matchAll(/^enum (\w+) \{(.*?)^\}/gms)) {
        const values = [...body!.matchAll(/(\w+) = (\d+);/g)];
        this.#enums.set(
          name!,
          new Map(values.map(([, value, number]) => [Number(number), value!])),
        );
      }
    }
  }

  get messageNames(): readonly string[] {
    return [...this.#messages.keys()];
  }

  /** Octets as lower-case hex, enums by name, absent messages and members of a oneof left out. */
  decode(name: string, bytes: Uint8Array): Message {
    const fields = this.#fields(name);
    const message: Message = {};
    for (const field of fields.values()) {
      if (field.isRepeated) message[field.name] = [];
      else if (!this.#isOptional(field)) message[field.name] = this.#zero(field.type);
    }
    let offset = 0;
    const varint = (): bigint => {
      for (let value = 0n, shift = 0n; ; shift += 7n) {
        const byte = bytes[offset++];
        if (byte === undefined) throw new Error(`${name}: cut short`);
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
    };
    while (offset < bytes.length) {
      const key = Number(varint());
      const field = fields.get(key >>> 3);
      if (field === undefined) throw new Error(`${name}: no field ${key >>> 3}`);
      if (field.type === fixed32Type) {
        if ((key & 7) !== 5) throw new Error(`${name}: wire type of ${field.name}`);
        message[field.name] = Buffer.from(bytes.subarray(offset, (offset += 4))).readUInt32LE();
        continue;
      }
      const isVarint = this.#isVarint(field.type);
      if ((key & 7) !== (isVarint ? 0 : 2)) throw new Error(`${name}: wire type of ${field.name}`);
      const number = varint();
      const part = isVarint ? undefined : bytes.subarray(offset, (offset += Number(number)));
      if (offset > bytes.length) throw new Error(`${name}: cut short`);
      const value = part === undefined ? this.#fromVarint(field, number) : this.#read(field, part);
      if (field.isRepeated) (message[field.name] as Value[]).push(value);
      else message[field.name] = value;
    }
    return message;
  }

  /** Fields in the order of their numbers, defaults left out. */
  encode(name: string, message: Message): Uint8Array {
    const parts: Uint8Array[] = [];
    const known = this.#fields(name);
    const names = new Set([...known.values()].map((field) => field.name));
    const surplus = Object.keys(message).find((field) => !names.has(field));
    if (surplus !== undefined) throw new Error(`${name}: no field ${surplus}`);
    for (const [number, field] of [...known].sort(([a], [b]) => a - b)) {
      const value = message[field.name];
      if (value === undefined) continue;
      for (const item of field.isRepeated ? (value as Value[]) : [value]) {
        if (!field.isRepeated && !this.#isOptional(field) && item === this.#zero(field.type))
          continue;
        parts.push(this.#write(number, field, item));
      }
    }
    return Buffer.concat(parts);
  }

  #fields(name: string): ReadonlyMap<number, Field> {
    const fields = this.#messages.get(name);
    if (fields === undefined) throw new Error(`no message ${name}`);
    return fields;
  }

  #isOptional({ type, isInOneof }: Field): boolean {
    return isInOneof || this.#messages.has(type);
  }

  #isVarint(type: string): boolean {
    return varintTypes.has(type) || this.#enums.has(type);
  }

  #zero(type: string): Value {
    if (type === "bool") return false;
    if (this.#enums.has(type)) return this.#enums.get(type)!.get(0)!;
    return varintTypes.has(type) || type === fixed32Type ? 0 : "";
  }

  #fromVarint({ type, name }: Field, number: bigint): Value {
    if (number > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`${name}: above 2^53 - 1`);
    if (type === "bool") return number !== 0n;
    const names = this.#enums.get(type);
    if (names === undefined) return Number(number);
    return names.get(Number(number)) ?? Number(number);
  }

  #read({ type }: Field, part: Uint8Array): Value {
    if (type === "bytes") return Buffer.from(part).toString("hex");
    if (type === "string") return new TextDecoder("utf-8", { fatal: true }).decode(part);
    return this.decode(type, part);
  }

  #write(number: number, field: Field, value: Value): Uint8Array {
    const { type } = field;
    if (this.#isVarint(type))
      return Buffer.concat([varintBytes(number * 8), this.#number(type, value)]);
    if (type === fixed32Type) {
      const fixed = Buffer.alloc(4);
      fixed.writeUInt32LE(Number(value));
      return Buffer.concat([varintBytes(number * 8 + 5), fixed]);
    }
    const part =
      type === "bytes"
        ? Buffer.from(value as string, "hex")
        : type === "string"
          ? Buffer.from(value as string)
          : this.encode(type, value as Message);
    return Buffer.concat([varintBytes(number * 8 + 2), varintBytes(part.length), part]);
  }

  #number(type: string, value: Value): Uint8Array {
    const names = this.#enums.get(type);
    if (names === undefined) return varintBytes(Number(value));
    for (const [number, name] of names) if (name === value) return varintBytes(number);
    throw new Error(`${type}: no value ${JSON.stringify(value)}`);
  }
}

function readFields(body: string): ReadonlyMap<number, Field> {
  const fields = new Map<number, Field>();
  const add = (text: string, isInOneof: boolean): void => {
    for (const [, repeated, type, name, number] of text.matchAll(
      /(repeated )?(\w+) (\w+) = (\d+);/g,
    )) {
      const isRepeated = repeated !== undefined;
      fields.set(Number(number), { name: name!, type: type!, isRepeated, isInOneof });
    }
  };
  for (const [, inner] of body.matchAll(/oneof \w+ \{(.*?)\}/gs)) add(inner!, true);
  add(body.replaceAll(/oneof \w+ \{.*?\}/gs, ""), false);
  return fields;
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(rest)]);
}
