// What the clients of OData's JSON share: the batches, and what their answers are held against.

import { direct, parsed } from "./lib.mjs";

export const json = (method, url, body) => ({ method, url, body: JSON.stringify(body), headers: { "content-type": "application/json" } });
export const get = url => ({ method: "GET", url });
export const serial = (...requests) => requests.map((request, index) => ({ ...request, dependsOn: index ? [String(index)] : undefined }));
const same = (first, ...others) => [first, ...others.map(request => ({ ...request, dependsOn: ["1"] }))];
export const layer = status => request => ({ ...request, layer: status });

// Ids are "1", "2" … in this order. Requests without dependencies run side by side.
export const batches = {
    "success": [get("/users/1"), get("/users/2"), { method: "HEAD", url: "/users/3" }],
    "not found": [get("/users/0"), get("/nothing/here"), { method: "DELETE", url: "/users/nobody" }, get("/users/1")],
    "created": [json("POST", "/users", { name: "Eve", email: "eve@example.com" })],
    "one after the other": serial(
        json("PATCH", "/users/4", { name: "Eva" }), get("/users/4"), json("PUT", "/users/4", { name: "E", email: "e@example.com" }),
        { method: "DELETE", url: "/users/4" }, get("/users/4")),
    "binary": [get("/blob/16"), get("/blob/1"), get("/blob/0"), get("/blob/70000"), get("/blob/99999999999")],
    "panic": [get("/users/1"), layer(500)(get("/boom")), get("/users/2")],
    "dependency that fails": serial(get("/users/0"), layer(424)(get("/users/1")), layer(424)(get("/users/2"))),
    "same dependency": same(get("/users/1"), get("/users/2"), get("/blob/3"), get("/users/0")),
    "same dependency that fails": same(get("/users/0"), layer(424)(get("/users/1")), layer(424)({ method: "DELETE", url: "/users/1" })),
    "no body": [{ method: "POST", url: "/users" }, { method: "DELETE", url: "/users/1" }, { method: "DELETE", url: "/users/9" }],
    "what the one before has done": [get("/users/1"), get("/users/2")],
    "not allowed": [json("POST", "/users/2", {}), json("POST", "/users", { name: "Nobody" })],
    "not ASCII": [json("POST", "/echo", { "ключ": "naïve 漢字 🦀 \u2028 é" }), get("/users/%C3%BC"), get("/users/2?$filter=a%20eq%20'b'")],
    "control characters": [json("POST", "/echo", { a: "\0\u0001\u007f\u0085\ufffe\r\n\t", "\u0007": "</script>" })],
    "JSON of other kinds": [json("POST", "/echo", [1, -0.5, null, { a: [] }]), json("POST", "/echo", "text"), json("POST", "/echo", 0)],
    "as many as there may be": Array.from({ length: 20 }, (_, index) => get(`/users/${index % 5}`)),
};

// What the same requests are answered alone, but for those that the layer answers.
export async function expectations(requests) {
    const want = [];
    for (const { layer, method, url, headers, body } of requests) want.push(layer ? { status: layer } : await direct(method, url, headers, body));
    return want;
}

// `text` is the body: of what is no JSON and no text, as base64.
export function check(checks, label, { status, headers, text }, want, ofLayer) {
    if (ofLayer) {
        checks.equal(`${label}: status`, status, want.status);
        const error = parsed(text)?.error;
        checks.equal(`${label}: error`, [typeof error?.code, typeof error?.message], ["string", "string"]);
        return;
    }
    // Nothing is told of the type of what isn't there: a client would make "null" of it.
    if (!want.body.length) delete want.headers["content-type"];
    const isBinary = /octet-stream|image/.test(want.headers["content-type"]);
    checks.same(label, { status, headers, body: Buffer.from(text, isBinary ? "base64" : "utf8") }, want);
}
