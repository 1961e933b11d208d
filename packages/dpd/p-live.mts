import { openChannel, createClient, openDuplex, tlsIdentityFromFiles } from "@whither/rpc";
import { Discovery, Zone } from "@whither/wire";
import { readFileSync } from "node:fs";
import { loadSodiumVoprf, joinElements, splitElements, sha256, utf8 } from "@whither/crypto/node";
const [port,pub]=process.argv.slice(2).map(Number);
const dir="/tmp/p-e2e/";
const caPem=readFileSync(dir+"pki/ca.pem","utf8");
const identity=await tlsIdentityFromFiles({certPath:dir+"pki/client.example.pem",keyPath:dir+"pki/client.example-key.pem"});
const zc=openChannel({host:"127.0.0.1",port:pub,caPem});
const z=createClient(Zone,zc);
const zone="de@dp-a.example";
const head=await z.getHead({zone}); 
console.log("head bytes",head.head!.payload.length);
const { decodeHead, decodeManifest } = await import("@whither/wire");
const h=decodeHead(head.head!.payload); console.log(h.serial,h.mapSize,h.b);
const man=await z.getManifest({zone,manifestSha256:h.manifestSha256}); const m=decodeManifest(man.manifest!.payload);
const dc=openChannel({host:"127.0.0.1",port,caPem,identity}); const d=createClient(Discovery,dc);
const v=await loadSodiumVoprf();
const inputs=Array.from({length:200},(_,i)=>utf8("x"+i));

const {randomBytes}=await import("node:crypto");
const b=v.blind(inputs,n=>new Uint8Array(randomBytes(n)));
let t=performance.now();
const e=await d.evaluate({zone,kid:h.kid,blinded:joinElements(b.blinded)});
console.log("evaluate 200",performance.now()-t);
const y=v.finalize({publicKey:m.voprfKeys[0].publicKey,inputs,blinds:b.blinds,blinded:b.blinded,evaluated:splitElements(e.evaluated),proof:e.proof});
console.log("y",y.length);
try { await createClient(Discovery,openChannel({host:"127.0.0.1",port,caPem})).evaluate({zone}); } catch(x){ console.log("anon:",String(x)); }
// stream fetch throughput
const N=5000; let got=0; t=performance.now();
await new Promise<void>((res)=>{ const s=openDuplex({channel:zc,method:Zone.method.fetch},{onMessage:(m)=>{got++; if(got===N) {s.end();} },onClose:(e)=>{console.log("closed",e?.code); res();}});
 for(let i=0;i<N;i++) s.send({id:BigInt(i),request:{case:"bucket",value:{zone,kid:h.kid,b:h.b,prefix:new Uint8Array(16)}}}); });
console.log("fetch",N,"in",performance.now()-t);
zc.close();dc.close(); process.exit(0);
