// OData's multipart, by o.js.

import { readFileSync } from "node:fs";
import odata from "odata";

import { Checks, ORACLE, TARGET, asked, direct, isText, parsed, plain } from "./lib.mjs";
import { checkChangeSets } from "./multipart_lib.mjs";

const { o, ORequest } = odata;
const { version } = JSON.parse(readFileSync(new URL("../node_modules/odata/package.json", import.meta.url)));
const checks = new Checks({ odata: version, node: process.versions.node });
const batch = { endpoint: "$batch", boundaryPrefix: "batch_", changsetBoundaryPrefix: "changset_", useChangset: false, useRelativeURLs: false };
// It keeps the type of a batch in headers that it shares.
const service = options => o(`${TARGET}/`, { batch: { ...batch, headers: new Headers({ "Content-Type": "multipart/mixed" }), ...options } });

function request({ method, path, headers, body }) {
    return new ORequest(TARGET + path, { method, headers: { "content-type": "application/json", ...headers }, body: body?.toString() });
}

// What it makes of a body: JSON whatever the type is, else text without white space around it.
const read = body => parsed(body) ?? (body.toString().trimEnd() || undefined);

function same(label, got, want, index) {
    checks.equal(`${label}: id`, got.contentId, index + 1);
    checks.equal(`${label}: status`, got.status, want.status);
    if (want.ofLayer) checks.equal(`${label}: error`, typeof got.body?.error?.message, "string");
    else checks.equal(`${label}: body`, got.body, read(want.body));
}

// Where there is an empty line in a body, it looks for change sets. Bodies are text. Of JSON `null` it makes text.
const can = operation => {
    const { body } = asked(operation);
    return isText(body) && !body?.includes("\r\n\r\n");
};
for (const { name, operations, expect } of plain(can)) {
    const handler = service();
    const want = [];
    for (const [index, operation] of operations.entries()) {
        const { method, path, headers, body } = asked(operation);
        handler.request(request({ method, path, headers, body }));
        want.push(expect[index] ? { status: expect[index], ofLayer: true } : await direct(method, path, { "content-type": "application/json", ...headers }, body));
    }
    const answer = await checks.attempt(`${name}: answer`, () => handler.batch());
    checks.equal(`${name}: number`, answer?.length, operations.length);
    for (const [index, expectation] of want.entries()) {
        const label = `${name} [${index}]`;
        checks.true(`${label}: is there`, answer?.[index]);
        if (answer?.[index]) same(label, answer[index], expectation, index);
    }
}

// In a batch with a change set it leaves out the line before the first request behind it. So there are only writes.
const paths = ({ id }) => (id === undefined ? "users" : `users/${id}`);
for (const [kind, options] of [["", {}], ["relative, ", { useRelativeURLs: true }]]) {
    await checkChangeSets(checks, async requests => {
        const handler = service({ useChangset: true, ...options });
        for (const request of requests) handler[request.method.toLowerCase()](paths(request), request.body);
        const answer = await handler.batch();
        const [first] = answer;
        // One answer for all has no list around it but that of the batch. A list of one is one for the one request.
        return answer.length === 1 && first.status >= 400 ? first : answer;
    }, (label, ...rest) => same(kind + label, ...rest));
}

// A request takes its target from the one before.
const handler = service({ useChangset: true, useRelativeURLs: true });
const answer = await checks.attempt("by id: answer", () => handler.post("users", { name: "Peggy", email: "p@example.com" }).patch("$1", { name: "Margaret" }).batch());
const { headers } = await direct("POST", "/users", { "content-type": "application/json" }, JSON.stringify({ name: "Peggy", email: "p@example.com" }));
const want = await direct("PATCH", headers.location, { "content-type": "application/json" }, JSON.stringify({ name: "Margaret" }));
checks.equal("by id: statuses", answer?.map(({ status }) => status), [201, 200]);
checks.equal("by id: what it is then", answer?.[1]?.body, parsed(want.body));
checks.same("by id: where it is", await direct("GET", headers.location, {}, undefined, TARGET), await direct("GET", headers.location, {}, undefined, ORACLE));

// What is refused stands in its place, and the others run.
const faulty = service();
const elsewhere = new ORequest("http://elsewhere.example/users/2", { method: "GET", headers: {} });
const refused = [
    elsewhere, request({ method: "GET", path: "//elsewhere.example/" }), request({ method: "G ET", path: "/users/2" }),
    request({ method: "CONNECT", path: "/users/2" }), request({ method: "GET", path: "/users/2", headers: { authorization: "Bearer x" } }),
];
faulty.get("users/2");
for (const one of refused) faulty.request(one);
faulty.get("users/3");
const around = await checks.attempt("faulty: answer", () => faulty.batch());
checks.equal("faulty: statuses", around?.map(({ status }) => status), [200, ...refused.map(() => 400), 200]);
for (const { status, body } of around ?? []) {
    if (status === 400) checks.equal("faulty: error", [typeof body?.error?.code, typeof body?.error?.message], ["string", "string"]);
}

// An error of the whole is an answer that it throws.
const many = service();
for (let count = 0; count < 101; count++) many.get("users/1");
const error = await many.batch().then(() => undefined, error => error);
checks.equal("too many: status", error?.status, 413);

checks.report();
