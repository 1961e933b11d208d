// ristretto255 and its scalars (RFC 9496) as libsodium compiled to WASM computes them, on operands
// that stay in WASM memory. The wrappers around libsodium copy every operand in and out of fresh
// allocations, which costs a tenth of the time and leaves secrets behind in freed memory.
import { DiscoveryError } from "@whither/protocol";
import sodium from "libsodium-wrappers-sumo";

/** An offset into WASM memory where 32 (or, where said, 64) bytes lie. */
export type Address = number;

/** The compiled functions used here; those of type `=> number` return 0 for success. */
interface CompiledSodium {
  /** Replaced when the memory grows: read it anew for each access. */
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): Address;
  _crypto_scalarmult_ristretto255(out: Address, scalar: Address, element: Address): number;
  _crypto_scalarmult_ristretto255_base(out: Address, scalar: Address): number;
  _crypto_core_ristretto255_add(out: Address, a: Address, b: Address): number;
  _crypto_core_ristretto255_is_valid_point(element: Address): number;
  _crypto_core_ristretto255_from_hash(out: Address, hash: Address): number;
  _crypto_core_ristretto255_scalar_invert(out: Address, scalar: Address): number;
  _crypto_core_ristretto255_scalar_mul(out: Address, a: Address, b: Address): void;
  _crypto_core_ristretto255_scalar_sub(out: Address, a: Address, b: Address): void;
  _crypto_core_ristretto255_scalar_reduce(out: Address, wide: Address): void;
}

const used = [
  "_malloc",
  "_crypto_scalarmult_ristretto255",
  "_crypto_scalarmult_ristretto255_base",
  "_crypto_core_ristretto255_add",
  "_crypto_core_ristretto255_is_valid_point",
  "_crypto_core_ristretto255_from_hash",
  "_crypto_core_ristretto255_scalar_invert",
  "_crypto_core_ristretto255_scalar_mul",
  "_crypto_core_ristretto255_scalar_sub",
  "_crypto_core_ristretto255_scalar_reduce",
];

function compiledOf(wrappers: object): CompiledSodium {
  const compiled: unknown = "libsodium" in wrappers ? wrappers.libsodium : undefined;
  const functions = new Map(Object.entries(compiled ?? {}));
  if (!used.every((name) => typeof functions.get(name) === "function")) {
    throw new DiscoveryError("INTERNAL", "libsodium lacks ristretto255");
  }
  return compiled as CompiledSodium; // not in its types; every function used was found above
}

/** One stretch of WASM memory and the operations on it. Not re-entrant; wipe it after each use. */
export class RistrettoHeap {
  readonly #sodium: CompiledSodium;
  readonly #base: Address;
  readonly #bytes: number;

  private constructor(compiled: CompiledSodium, bytes: number) {
    this.#sodium = compiled;
    this.#bytes = bytes;
    this.#base = compiled._malloc(bytes);
    if (this.#base === 0) throw new DiscoveryError("INTERNAL", "libsodium is out of memory");
  }

  /** Loads libsodium and reserves that many bytes for as long as the process lives. */
  static async create(bytes: number): Promise<RistrettoHeap> {
    await sodium.ready;
    return new RistrettoHeap(compiledOf(sodium), bytes);
  }

  /** Address of the 32 bytes with that index. */
  at(index: number): Address {
    return this.#base + 32 * index;
  }

  put(address: Address, bytes: Uint8Array): void {
    this.#sodium.HEAPU8.set(bytes, address);
  }

  /** A copy of 32 bytes. */
  get(address: Address): Uint8Array {
    return this.#sodium.HEAPU8.slice(address, address + 32);
  }

  copy(out: Address, from: Address): void {
    this.#sodium.HEAPU8.copyWithin(out, from, from + 32);
  }

  wipe(): void {
    this.#sodium.HEAPU8.fill(0, this.#base, this.#base + this.#bytes);
  }

  /** out = scalar · element; false if the element is not canonical or the product is the identity. */
  multiply(out: Address, scalar: Address, element: Address): boolean {
    return this.#sodium._crypto_scalarmult_ristretto255(out, scalar, element) === 0;
  }

  /** out = scalar · generator; false for the scalar zero. */
  multiplyBase(out: Address, scalar: Address): boolean {
    return this.#sodium._crypto_scalarmult_ristretto255_base(out, scalar) === 0;
  }

  /** out = a + b; false if either is not canonical. */
  add(out: Address, a: Address, b: Address): boolean {
    return this.#sodium._crypto_core_ristretto255_add(out, a, b) === 0;
  }

  /** Whether an element is canonical; the identity is. */
  isCanonical(element: Address): boolean {
    return this.#sodium._crypto_core_ristretto255_is_valid_point(element) === 1;
  }

  /** out = the element that 64 uniform bytes map to (RFC 9496 section 4.3.4). */
  mapToElement(out: Address, uniform: Address): void {
    this.#sodium._crypto_core_ristretto255_from_hash(out, uniform);
  }

  /** out = 64 bytes, little-endian, reduced by the group order. */
  reduceScalar(out: Address, wide: Address): void {
    this.#sodium._crypto_core_ristretto255_scalar_reduce(out, wide);
  }

  multiplyScalars(out: Address, a: Address, b: Address): void {
    this.#sodium._crypto_core_ristretto255_scalar_mul(out, a, b);
  }

  subtractScalars(out: Address, a: Address, b: Address): void {
    this.#sodium._crypto_core_ristretto255_scalar_sub(out, a, b);
  }

  /** out = 1 / scalar; false for zero. */
  invertScalar(out: Address, scalar: Address): boolean {
    return this.#sodium._crypto_core_ristretto255_scalar_invert(out, scalar) === 0;
  }
}
